-- A doomed pack holds nothing that is needed; it is deleted when nobody reads who may still look for rows in it.
ALTER TABLE pack ADD COLUMN doomed INTEGER NOT NULL DEFAULT 0;
