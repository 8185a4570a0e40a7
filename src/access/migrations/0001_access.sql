-- Authority rows: API keys, own roles, and the one manifest that lists which of them exist in
-- which version. Each carries a MAC, so that a row written by anyone but the server is worth
-- nothing. version comes from one counter, the manifest's, and never comes twice.
create table access_authority (
  kind {{text}} not null,
  id {{text}} not null,
  version {{int}} not null,
  content {{text}} not null,
  mac_key {{int}} not null,
  mac {{bytes}} not null,
  primary key (kind, id)
) {{strict}};
