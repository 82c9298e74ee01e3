CREATE TABLE moncap_worker (
  id        TEXT PRIMARY KEY,
  host      TEXT NOT NULL,
  pid       BIGINT NOT NULL,
  version   TEXT NOT NULL,
  sites     TEXT NOT NULL,
  capacity  BIGINT NOT NULL,
  inventory TEXT NOT NULL,
  beat      BIGINT NOT NULL,
  clock_off BIGINT NOT NULL DEFAULT 0,
  draining  BIGINT NOT NULL DEFAULT 0
);

CREATE TABLE moncap_run (
  id         TEXT PRIMARY KEY,
  tunnel     TEXT NOT NULL,
  a          TEXT NOT NULL,
  b          TEXT NOT NULL,
  router_a   TEXT NOT NULL,
  router_b   TEXT NOT NULL,
  runs_a     BIGINT NOT NULL,
  runs_b     BIGINT NOT NULL,
  site       TEXT NOT NULL,
  state      TEXT NOT NULL,
  priority   BIGINT NOT NULL,
  fence      BIGINT NOT NULL DEFAULT 0,
  owner      TEXT NOT NULL DEFAULT '',
  host       TEXT NOT NULL DEFAULT '',
  lease      BIGINT NOT NULL DEFAULT 0,
  job        BIGINT NOT NULL DEFAULT 0,
  tries      BIGINT NOT NULL DEFAULT 0,
  reason     TEXT NOT NULL DEFAULT '',
  change     TEXT NOT NULL DEFAULT '',
  cause      TEXT NOT NULL DEFAULT '',
  who        TEXT NOT NULL DEFAULT '',
  approval   TEXT NOT NULL DEFAULT '',
  cancelled  TEXT NOT NULL DEFAULT '',
  attempt    BIGINT NOT NULL DEFAULT 1,
  attempts   BIGINT NOT NULL DEFAULT 1,
  retry_of   TEXT NOT NULL DEFAULT '',
  created    BIGINT NOT NULL,
  place      BIGINT NOT NULL DEFAULT 0,
  not_before BIGINT NOT NULL DEFAULT 0,
  started    BIGINT NOT NULL DEFAULT 0,
  ended      BIGINT NOT NULL DEFAULT 0,
  outcome    TEXT NOT NULL DEFAULT '',
  exit       BIGINT NOT NULL DEFAULT -1,
  headline   TEXT NOT NULL DEFAULT '',
  clean      BIGINT NOT NULL DEFAULT 0,
  error      TEXT NOT NULL DEFAULT '',
  remains    TEXT NOT NULL DEFAULT '',
  bundle     TEXT NOT NULL DEFAULT ''
);
CREATE INDEX moncap_run_history ON moncap_run (tunnel, started DESC, exit, id, headline);
CREATE INDEX moncap_run_ended ON moncap_run (ended);
CREATE INDEX moncap_run_state ON moncap_run (state, priority, place);

CREATE TABLE moncap_plan (
  run     TEXT PRIMARY KEY,
  plan    TEXT NOT NULL,
  doc     TEXT NOT NULL DEFAULT '',
  doc_seq BIGINT NOT NULL DEFAULT 0
);

CREATE TABLE moncap_slot (
  router TEXT NOT NULL,
  slot   BIGINT NOT NULL,
  run    TEXT NOT NULL,
  PRIMARY KEY (router, slot)
);
CREATE INDEX moncap_slot_run ON moncap_slot (run);

CREATE TABLE moncap_journal (
  run   TEXT NOT NULL,
  seq   BIGINT NOT NULL,
  at    BIGINT NOT NULL,
  side  TEXT NOT NULL,
  peer  TEXT NOT NULL,
  kind  TEXT NOT NULL,
  name  TEXT NOT NULL,
  state TEXT NOT NULL,
  PRIMARY KEY (run, seq)
);

CREATE TABLE moncap_finding (
  run      TEXT NOT NULL,
  code     TEXT NOT NULL,
  severity TEXT NOT NULL,
  PRIMARY KEY (run, code)
);

CREATE TABLE moncap_report (
  run TEXT PRIMARY KEY,
  gz  {blob} NOT NULL
);

CREATE TABLE moncap_artifact (
  run   TEXT NOT NULL,
  part  TEXT NOT NULL,
  bytes {blob} NOT NULL,
  PRIMARY KEY (run, part)
);

CREATE TABLE moncap_schedule (
  name   TEXT PRIMARY KEY,
  spec   TEXT NOT NULL,
  digest TEXT NOT NULL,
  due    BIGINT NOT NULL,
  last   BIGINT NOT NULL DEFAULT 0,
  paused BIGINT NOT NULL DEFAULT 0,
  missed BIGINT NOT NULL DEFAULT 0
);

CREATE TABLE moncap_refused (
  credential TEXT PRIMARY KEY,
  until      BIGINT NOT NULL,
  run        TEXT NOT NULL
);

CREATE TABLE moncap_audit (
  at      BIGINT NOT NULL,
  who     TEXT NOT NULL,
  what    TEXT NOT NULL,
  run     TEXT NOT NULL DEFAULT '',
  origin  TEXT NOT NULL DEFAULT ''
);
CREATE INDEX moncap_audit_at ON moncap_audit (at);
