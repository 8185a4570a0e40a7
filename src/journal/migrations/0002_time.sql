-- One row: journal time as it was last written down (journal/journal_time.h), under a MAC.
-- boot and mono_ms say on which start of which machine it was measured; confirmations counts how
-- often the owner set it.
create table journal_time (
  id {{int}} primary key,
  version {{int}} not null,
  time_ms {{int}} not null,
  mono_ms {{int}} not null,
  boot {{text}} not null,
  allowance_ms {{int}} not null,
  confirmations {{int}} not null,
  mac_key {{int}} not null,
  mac {{bytes}} not null
) {{strict}};
