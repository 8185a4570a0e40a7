-- How many different customers an account (a key, a person, the store) has opened within a window:
-- used is the number of rows below whose bucket lies in it. The row is locked by every charge.
create table access_budgets (
  account {{text}} not null,
  span {{int}} not null,
  used {{int}} not null,
  primary key (account, span)
) {{strict}};

-- The bucket (a sixtieth of the window) in which the account last opened the customer.
create table access_budget_uses (
  account {{text}} not null,
  span {{int}} not null,
  subject {{bytes}} not null,
  bucket {{int}} not null,
  primary key (account, span, subject)
) {{strict, without rowid}};

create index access_budget_uses_bucket on access_budget_uses (account, span, bucket);
