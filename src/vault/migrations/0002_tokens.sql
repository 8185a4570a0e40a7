-- Tokens that are not written tok_...: text_term finds the text that the shop has (a full-length
-- HMAC under token key key_id), text_sealed is that text under the customer's key. value_term finds
-- the token of an equal value where the field declares that. sharer is one zero byte, or the
-- customer where a further one shares the text: unique with each of the terms.
alter table vault_tokens add column key_id {{int}} not null default 0;
alter table vault_tokens add column text_term {{bytes}};
alter table vault_tokens add column text_sealed {{bytes}};
alter table vault_tokens add column value_term {{bytes}};
alter table vault_tokens add column sharer {{bytes}};

create unique index vault_tokens_text on vault_tokens (text_term, sharer);

create unique index vault_tokens_value on vault_tokens (value_term, sharer);

-- What the owner switched on for the whole store, such as card data. Authority rows.
create table vault_switches (
  name {{text}} primary key,
  version {{int}} not null,
  declared {{json}} not null,
  mac {{bytes}} not null
) {{strict}};
