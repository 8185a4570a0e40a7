-- The log itself. seq counts from 0 without a gap.
create table journal_entries (
  seq {{int}} primary key,
  id {{bytes}} not null,
  entry {{bytes}} not null
) {{strict}};

create unique index journal_entries_id on journal_entries (id);

-- PostgreSQL: entries that requests committed and that the leader has not put in order yet.
-- node and counter let several nodes write here.
create table journal_pending (
  node {{int}} not null,
  counter {{int}} not null,
  id {{bytes}} not null,
  entry {{bytes}} not null,
  primary key (node, counter)
) {{strict}};

-- One row: how many entries the leader has put in order (PostgreSQL), the log's origin.
create table journal_head (
  id {{int}} primary key,
  size {{int}} not null,
  origin {{text}} not null
) {{strict}};

-- Complete tiles of 256 hashes, as in C2SP tlog-tiles. Derived from the entries.
create table journal_tiles (
  level {{int}} not null,
  idx {{int}} not null,
  hashes {{bytes}} not null,
  primary key (level, idx)
) {{strict}};

-- The salted leaves of events that touch several rows.
create table journal_leaves (
  event {{bytes}} primary key,
  leaves {{bytes}} not null
) {{strict}};

-- Personal data about an event, sealed: found by the commitment that the entry holds.
create table journal_sides (
  commitment {{bytes}} primary key,
  keep_until_ms {{int}} not null,
  sealed {{bytes}} not null
) {{strict}};

create index journal_sides_keep on journal_sides (keep_until_ms);

-- Bumped by every change of policy; commits guard the generation they were decided under.
create table journal_generation (
  id {{int}} primary key,
  generation {{int}} not null
) {{strict}};

insert into journal_generation (id, generation) values (1, 1);
