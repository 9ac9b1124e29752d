-- The outbox: what a transaction inserts is published if it commits, and only then. outbox.py publishes it.
CREATE TABLE outbox (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, -- The order.
    key uuid NOT NULL DEFAULT gen_random_uuid(), -- The Idempotency-Key.
    topic text NOT NULL,
    event text NOT NULL DEFAULT 'message',
    data jsonb NOT NULL
);
CREATE FUNCTION outbox_notify() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NOTIFY outbox; RETURN NULL; END $$;
CREATE TRIGGER outbox_inserted AFTER INSERT ON outbox EXECUTE FUNCTION outbox_notify();
