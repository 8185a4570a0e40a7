-- One row. Who is about to commit a unique value takes it first, so that of two commits of one
-- moment the second sees the value of the first.
create table vault_unique_turn (
  id {{int}} primary key
) {{strict}};

insert into vault_unique_turn (id) values (1);
