-- What SQLite's planner is told of the size of tables: a store of some years. Without it a lookup of one
-- report by its key reads all reports of its domain. A user's own ANALYZE replaces it, and may.
ANALYZE;
DELETE FROM sqlite_stat1;
INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES
    ('record', 'record', '10000000 20000 40 20 1'),
    ('report', 'report', '500000 1000 2 1'),
    ('report', 'report_key', '500000 1000 20 1 1 1'),
    ('report', 'report_counted_once', '490000 1000 20 1 1 1'),
    ('report', 'report_message', '500000 1'),
    ('report', 'report_spread', '500 10 2 2'),
    ('report', 'report_duplicate', '5000 100 1'),
    ('report', 'report_conflicting', '500 10 2'),
    ('deviation', 'deviation', '500000 5000 10 2 1'),
    ('rollup', 'rollup', '2000000 4000 6 3 2 2 2 1 1 1'),
    ('report_rollup', 'report_rollup', '350000 700 2 1 1 1'),
    ('message', 'message_pending', '100 1'),
    ('message', 'message_received', '600000 2'),
    ('message', 'message_sha256', '600000 1'),
    ('message', 'message_unread', '1000 1'),
    ('message', 'message_peer', '600000 100'),
    ('message', 'message_header_id', '600000 1'),
    ('message_party', 'message_party', '1500000 300 30 1'),
    ('message_reference', 'message_reference', '50000 2 1'),
    ('message_reference', 'message_reference_message', '50000 2'),
    ('raw', 'raw_spool', '10 1'),
    ('raw_chunk', 'sqlite_autoindex_raw_chunk_1', '10000 10 1'),
    ('unclaimed', 'unclaimed', '10000 10 1 1'),
    ('unclaimed', 'unclaimed_message', '10000 1'),
    ('auth_result', 'auth_result', '200000 2 1'),
    ('auth_set', 'sqlite_autoindex_auth_set_1', '100000 1'),
    ('name', 'sqlite_autoindex_name_1', '50000 1'),
    ('domain', 'sqlite_autoindex_domain_1', '500 1'),
    ('reporter', 'sqlite_autoindex_reporter_1', '500 1');
ANALYZE sqlite_schema;
