CREATE TABLE moncap_look (
  run   TEXT PRIMARY KEY,
  due   BIGINT NOT NULL,
  owner TEXT NOT NULL DEFAULT '',
  job   BIGINT NOT NULL DEFAULT 0,
  tries BIGINT NOT NULL DEFAULT 0
);

INSERT INTO moncap_look (run, due) SELECT id, {now} FROM moncap_run
  WHERE state IN ('collected', 'interrupted') AND clean = 1 AND fence > 1 AND ended > {now} - 600000;

ALTER TABLE moncap_slot ADD COLUMN until BIGINT NOT NULL DEFAULT 0;
