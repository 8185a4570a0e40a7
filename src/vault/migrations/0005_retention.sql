-- Legal holds: what must not be destroyed, of one customer or of a whole collection. Authority rows:
-- mac covers the rest of the row. Rows stay when a hold is lifted. sealed is the reason.
create table vault_holds (
  id {{bytes}} primary key,
  subject {{bytes}},
  collection {{int}},
  placed_by {{text}} not null,
  placed_ms {{int}} not null,
  until_ms {{int}},
  released_by {{text}} not null,
  released_ms {{int}},
  sealed {{bytes}} not null,
  version {{int}} not null,
  mac_key {{int}} not null,
  mac {{bytes}} not null
) {{strict}};

create index vault_holds_released on vault_holds (released_ms);
