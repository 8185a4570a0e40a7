-- Names under which the log once went on and which it left for the next (journal/left_origins.h).
-- size: up to how many entries the database holds the customers' keys of that time. What was
-- written under that name past it is of an abandoned history.
create table journal_left_origins (
  origin {{text}} primary key,
  size {{int}} not null
) {{strict}};
