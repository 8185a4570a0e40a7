-- A customer's row is an authority row from birth: mac covers id, external_term (and
-- external_other, see 0008), erased_ms, merged_into, standing and version, so that one written, changed or emptied in the database opens
-- nothing. standing is what the customer decided: restriction, objections, consents.
alter table vault_subjects add column merged_into {{bytes}};

alter table vault_subjects add column standing {{bytes}};

alter table vault_subjects add column mac {{bytes}};

create index vault_subjects_merged on vault_subjects (merged_into);

-- Every decision behind a standing, with what proves it (sealed under the customer's account key).
create table vault_decisions (
  id {{bytes}} primary key,
  subject {{bytes}} not null,
  at_ms {{int}} not null,
  decision {{text}} not null,
  purpose {{text}} not null,
  evidence {{bytes}}
) {{strict, without rowid}};

create index vault_decisions_subject on vault_decisions (subject, id);

-- What customers ask for under GDPR art. 15 to 21. asked and answer are sealed.
create table vault_requests (
  id {{bytes}} primary key,
  subject {{bytes}} not null,
  kind {{text}} not null,
  state {{text}} not null,
  received_ms {{int}} not null,
  due_ms {{int}} not null,
  identity {{text}} not null,
  extended {{int}} not null,
  alarmed_ms {{int}},
  answered_ms {{int}},
  outcome {{text}},
  event {{bytes}},
  asked {{bytes}},
  answer {{bytes}},
  version {{int}} not null
) {{strict, without rowid}};

create index vault_requests_state on vault_requests (state, due_ms, id);

create index vault_requests_subject on vault_requests (subject, id);
