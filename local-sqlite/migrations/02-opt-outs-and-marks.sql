-- Nobody asks since when somebody has opted out. The table is made anew, since some files of version 1 lack the column.
CREATE TABLE opt_out_now (
    tn     INTEGER NOT NULL,
    person INTEGER NOT NULL,
    PRIMARY KEY (tn, person)
) STRICT, WITHOUT ROWID;
INSERT INTO opt_out_now SELECT tn, person FROM opt_out;
DROP TABLE opt_out;
ALTER TABLE opt_out_now RENAME TO opt_out;

-- From now on an inbound text that leads to a message is known by it, and `inbound` has the others only. Its ids are
-- those that such messages would have: they are made from the ids of the texts, which the program does with the ids
-- that are there (`remark` in src/store/sqlite/open.rs).
