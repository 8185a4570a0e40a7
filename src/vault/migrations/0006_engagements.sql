-- Kinds of engagements of the shop's own; those built in are in the program. Authority rows: mac
-- covers the rest.
create table vault_engagement_kinds (
  name {{text}} primary key,
  version {{int}} not null,
  declared {{json}} not null,
  mac {{bytes}} not null
) {{strict}};

-- A live reason to look at one customer. Authority rows: mac covers the rest of the row. The
-- shop's reference and the people are sealed under the customer's key; live_term is its keyed term
-- while the engagement is open, so that one reference opens once. People are pseudonyms.
create table vault_engagements (
  id {{bytes}} primary key,
  subject {{bytes}} not null,
  kind {{text}} not null,
  term {{bytes}} not null,
  live_term {{bytes}} unique,
  sealed {{bytes}} not null,
  opened_ms {{int}} not null,
  closes_ms {{int}} not null,
  closed_ms {{int}},
  opener {{text}} not null,
  opener_person {{text}} not null,
  assignee {{text}} not null,
  version {{int}} not null,
  mac {{bytes}} not null
) {{strict}};

create index vault_engagements_subject on vault_engagements (subject);

create index vault_engagements_term on vault_engagements (term);

create index vault_engagements_open on vault_engagements (closes_ms) where closed_ms is null;

create index vault_engagements_closed on vault_engagements (closed_ms) where closed_ms is not null;

-- Invented customers. mark is a keyed term of the customer's id, and all else is sealed: a reader
-- of the database sees how many there are and not which.
create table vault_canaries (
  mark {{bytes}} primary key,
  sealed {{bytes}} not null
) {{strict, without rowid}};
