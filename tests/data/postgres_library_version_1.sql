-- The tables of a library in PostgreSQL as version 1 made them, with vectors as text.
CREATE SCHEMA cavmae;
CREATE TABLE cavmae.version (version bigint NOT NULL);
INSERT INTO cavmae.version VALUES (1);
CREATE TABLE cavmae.library (settings jsonb NOT NULL);
CREATE TABLE cavmae.files (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  path text COLLATE "C" NOT NULL,
  audio_path text COLLATE "C" NOT NULL,
  stamp text NOT NULL,
  content text NOT NULL,
  end_ms bigint NOT NULL,
  has_audio boolean NOT NULL,
  has_video boolean NOT NULL,
  UNIQUE (path, audio_path)
);
CREATE INDEX files_by_content ON cavmae.files (content);
CREATE SEQUENCE cavmae.moment_ids;
CREATE TABLE cavmae.moments (
  id bigint PRIMARY KEY,
  file bigint NOT NULL REFERENCES cavmae.files (id),
  start_ms bigint NOT NULL,
  end_ms bigint NOT NULL,
  hash bigint NOT NULL,
  audio text,
  video text,
  UNIQUE (file, start_ms)
);
CREATE INDEX moments_by_hash ON cavmae.moments (hash);
CREATE TABLE cavmae.failures (
  path text COLLATE "C" NOT NULL,
  side text NOT NULL,
  stamp text NOT NULL,
  reason text NOT NULL,
  PRIMARY KEY (path, side)
);
