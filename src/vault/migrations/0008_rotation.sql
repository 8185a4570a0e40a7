-- One rotation of a kind of key. running is 1 while rows are moved and null otherwise, so that at
-- most one is under way; after is where the next batch begins. Times in journal time but for the
-- first, which is for people.
create table vault_rotations (
  id {{bytes}} primary key,
  kind {{text}} not null,
  from_id {{int}} not null,
  to_id {{int}} not null,
  phase {{text}} not null,
  running {{int}} unique,
  at_once {{int}} not null,
  source {{int}} not null,
  after {{bytes}} not null,
  rounds {{int}} not null,
  looked {{int}} not null,
  moved {{int}} not null,
  total {{int}} not null,
  refused {{int}} not null,
  refused_rows {{json}} not null,
  generation {{int}} not null,
  started_ms {{int}} not null,
  moved_ms {{int}},
  due_ms {{int}},
  done_ms {{int}},
  proof {{text}} not null,
  version {{int}} not null
) {{strict}};

create unique index vault_rotations_of_kind on vault_rotations (kind, from_id, to_id);

-- Customers' keep groups of which single values were erased: they get another key when the epoch
-- rolls, so that the old one goes with the epoch.
create table vault_lost_values (
  subject {{bytes}} not null,
  keep_group {{text}} not null,
  lost_ms {{int}} not null,
  primary key (subject, keep_group)
) {{strict, without rowid}};

-- A key that a rotation has replaced: nothing is sealed under it any more.
alter table vault_subject_keys add column retired_ms {{int}};

-- While the key of external ids is rotated: the term under the other of the two keys.
alter table vault_subjects add column external_other {{bytes}};

create unique index vault_subjects_external_other on vault_subjects (external_other);
