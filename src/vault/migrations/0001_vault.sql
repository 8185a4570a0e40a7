-- What is declared. Authority rows: mac covers the rest of the row, so that one written straight
-- into the database declares nothing.
create table vault_collections (
  id {{int}} primary key,
  name {{text}} not null unique,
  version {{int}} not null,
  declared {{json}} not null,
  mac {{bytes}} not null
) {{strict}};

create table vault_purposes (
  name {{text}} primary key,
  version {{int}} not null,
  declared {{json}} not null,
  mac {{bytes}} not null
) {{strict}};

-- A customer. external_term is the full-length keyed index of the shop's own id.
create table vault_subjects (
  id {{bytes}} primary key,
  external_term {{bytes}},
  external_sealed {{bytes}},
  created_ms {{int}} not null,
  erased_ms {{int}},
  version {{int}} not null
) {{strict}};

create unique index vault_subjects_external on vault_subjects (external_term);

-- One random key per subject and keep group, wrapped by an epoch key. Erasing deletes these.
create table vault_subject_keys (
  subject {{bytes}} not null,
  keep_group {{text}} not null,
  key_id {{int}} not null,
  epoch {{int}} not null,
  wrapped {{bytes}} not null,
  primary key (subject, keep_group, key_id)
) {{strict, without rowid}};

-- sealed holds every field value of the record, each sealed by itself. slot names a record that
-- an import finds again within its subject and collection.
create table vault_records (
  id {{bytes}} primary key,
  subject {{bytes}} not null,
  collection {{int}} not null,
  slot {{text}},
  version {{int}} not null,
  created_ms {{int}} not null,
  updated_ms {{int}} not null,
  sealed {{bytes}} not null
) {{strict}};

create unique index vault_records_slot on vault_records (subject, collection, slot);

create index vault_records_collection on vault_records (collection, id);

-- Blind indexes: truncated HMAC terms of normalised values.
create table vault_index (
  collection {{int}} not null,
  field {{int}} not null,
  term {{bytes}} not null,
  record {{bytes}} not null,
  primary key (collection, field, term, record)
) {{strict, without rowid}};

-- The address of one field of one record. mac binds it, so that a token cannot be bent to
-- another record in the database.
create table vault_tokens (
  id {{bytes}} primary key,
  subject {{bytes}} not null,
  record {{bytes}} not null,
  field {{int}} not null,
  created_ms {{int}} not null,
  mac {{bytes}} not null
) {{strict, without rowid}};

create index vault_tokens_record on vault_tokens (record);

-- What a repeated request gets again: ids only, never values.
create table vault_idempotency (
  principal {{text}} not null,
  key_term {{bytes}} not null,
  fingerprint {{bytes}} not null,
  answer {{json}} not null,
  expires_ms {{int}} not null,
  primary key (principal, key_term)
) {{strict}};

create index vault_idempotency_expires on vault_idempotency (expires_ms);

-- Wrong values offered to verify, per subject, field and day over all callers.
create table vault_wrong_values (
  subject {{bytes}} not null,
  collection {{int}} not null,
  field {{int}} not null,
  day {{int}} not null,
  wrong {{int}} not null,
  primary key (subject, collection, field, day)
) {{strict}};

create index vault_wrong_values_day on vault_wrong_values (day);
