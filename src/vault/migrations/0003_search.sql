-- Indexes are numbered: a number stands for one field, kind, size of term, key and calling code,
-- as the field's declaration says. What is indexed can be made again from the records, so the old
-- rows go and the indexes that fields declare are built anew when the server starts.
drop table vault_index;

-- Blind indexes of exact and unique fields. tag is a keyed check of value and record, under which
-- the rows that share a cut-off term are told apart; equal values have different tags.
create table vault_index (
  number {{int}} not null,
  term {{bytes}} not null,
  record {{bytes}} not null,
  tag {{bytes}} not null,
  primary key (number, term, record)
) {{strict, without rowid}};

-- Postings of prefix and substring fields, in sealed blocks per term. kind: 0 full, 1 small,
-- 2 with entries that take others back.
create table vault_postings (
  number {{int}} not null,
  term {{bytes}} not null,
  block {{bytes}} not null,
  kind {{int}} not null,
  entries {{int}} not null,
  sealed {{bytes}} not null,
  primary key (number, term, block)
) {{strict, without rowid}};

create index vault_postings_small on vault_postings (kind, number, term) where kind > 0;

-- How far the building of an index is, and what the last look at it counted. total: the records
-- that there were then.
create table vault_index_state (
  number {{int}} primary key,
  collection {{int}} not null,
  field {{int}} not null,
  after {{bytes}} not null,
  done {{int}} not null,
  total {{int}} not null,
  counted {{int}} not null,
  largest {{int}} not null,
  duplicates {{int}} not null,
  damaged {{int}} not null
) {{strict}};

create index vault_index_state_collection on vault_index_state (collection);
