CREATE TABLE moncap_notice (
  id      TEXT PRIMARY KEY,
  seq     BIGINT NOT NULL,
  target  TEXT NOT NULL,
  about   TEXT NOT NULL,
  action  TEXT NOT NULL,
  tunnel  TEXT NOT NULL,
  run     TEXT NOT NULL,
  message TEXT NOT NULL,
  state   TEXT NOT NULL DEFAULT 'due',
  created BIGINT NOT NULL,
  due     BIGINT NOT NULL,
  until   BIGINT NOT NULL DEFAULT 0,
  owner   TEXT NOT NULL DEFAULT '',
  tries   BIGINT NOT NULL DEFAULT 0,
  sent    BIGINT NOT NULL DEFAULT 0,
  error   TEXT NOT NULL DEFAULT ''
);
CREATE INDEX moncap_notice_due ON moncap_notice (state, due);
CREATE INDEX moncap_notice_about ON moncap_notice (target, about, seq);

CREATE TABLE moncap_alert (
  target  TEXT NOT NULL,
  about   TEXT NOT NULL,
  tunnel  TEXT NOT NULL,
  opened  BIGINT NOT NULL,
  message TEXT NOT NULL,
  PRIMARY KEY (target, about)
);
CREATE INDEX moncap_alert_tunnel ON moncap_alert (tunnel);

CREATE TABLE moncap_event (
  id      TEXT PRIMARY KEY,
  at      BIGINT NOT NULL,
  tunnel  TEXT NOT NULL,
  peer    TEXT NOT NULL,
  kind    TEXT NOT NULL,
  source  TEXT NOT NULL,
  about   TEXT NOT NULL,
  text    TEXT NOT NULL,
  outcome TEXT NOT NULL,
  why     TEXT NOT NULL,
  run     TEXT NOT NULL,
  more    BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX moncap_event_tunnel ON moncap_event (tunnel, at);
CREATE INDEX moncap_event_at ON moncap_event (at);
CREATE INDEX moncap_event_about ON moncap_event (about);
