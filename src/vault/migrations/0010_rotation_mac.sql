-- Over the whole row: keys go by what it says. Null in rows that an earlier release wrote.
alter table vault_rotations add column mac {{bytes}};
