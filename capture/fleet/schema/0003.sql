CREATE TABLE moncap_token (
  name    TEXT PRIMARY KEY,
  role    TEXT NOT NULL,
  hash    TEXT NOT NULL,
  made_by TEXT NOT NULL,
  made    BIGINT NOT NULL
);

CREATE TABLE moncap_login (
  hash    TEXT PRIMARY KEY,
  token   TEXT NOT NULL,
  expires BIGINT NOT NULL
);

CREATE TABLE moncap_pruned (
  state TEXT PRIMARY KEY,
  n     BIGINT NOT NULL
);

CREATE TABLE moncap_gap (
  tunnel TEXT PRIMARY KEY,
  us     BIGINT NOT NULL
);

CREATE INDEX moncap_run_strip ON moncap_run (tunnel, ended DESC, id DESC, exit, outcome, state);
