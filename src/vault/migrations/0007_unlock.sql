-- Which keyring generation, unlock method and share sets are in force: one row. mac covers content
-- under a key made from the root key; next_mac under the root key that a running change leads to
-- (the same as mac when there is none).
create table vault_keyring (
  id {{int}} primary key,
  generation {{int}} not null,
  content {{json}} not null,
  mac {{bytes}} not null,
  next_mac {{bytes}} not null
) {{strict}};
