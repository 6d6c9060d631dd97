BEGIN TRANSACTION;
CREATE TABLE artifacts (
	release INTEGER NOT NULL, 
	filename TEXT NOT NULL, 
	name TEXT NOT NULL, 
	version TEXT NOT NULL, 
	architecture TEXT NOT NULL, 
	digest VARCHAR(71), 
	size_bytes INTEGER, 
	PRIMARY KEY (release, filename), 
	FOREIGN KEY(release) REFERENCES releases (id)
);
INSERT INTO "artifacts" VALUES(1,'demo_1.0-1_amd64.deb','demo','1.0-1','amd64','sha256:b04e5ea201bb040cae53f693f6a38a3e00b62da6039ca248fecd59b7fc842894',9);
INSERT INTO "artifacts" VALUES(2,'demo_1.1-1_amd64.deb','demo','1.1-1','amd64','sha256:b04e5ea201bb040cae53f693f6a38a3e00b62da6039ca248fecd59b7fc842894',9);
CREATE TABLE attestations (
	comparison INTEGER NOT NULL, 
	path TEXT NOT NULL, 
	filename TEXT NOT NULL, 
	kind TEXT NOT NULL, 
	"key" TEXT NOT NULL, 
	digest VARCHAR(71) NOT NULL, 
	PRIMARY KEY (comparison, path), 
	FOREIGN KEY(comparison) REFERENCES comparisons (id)
);
CREATE TABLE comparisons (
	id INTEGER NOT NULL, 
	release INTEGER NOT NULL, 
	version TEXT NOT NULL, 
	architecture TEXT NOT NULL, 
	"plan" VARCHAR(71), 
	builder TEXT, 
	ordinal INTEGER, 
	rule TEXT NOT NULL, 
	verdict TEXT NOT NULL, 
	causes JSON NOT NULL, 
	reason TEXT NOT NULL, 
	dossier VARCHAR(71) NOT NULL, 
	directory TEXT NOT NULL, 
	concluded_at VARCHAR(20) NOT NULL, 
	PRIMARY KEY (id), 
	FOREIGN KEY(release) REFERENCES releases (id), 
	UNIQUE (dossier)
);
INSERT INTO "comparisons" VALUES(1,1,'1.0-1','amd64','sha256:b1f123eab0cfb311a5de613953c6fa9e616f40670597d49775c523915d028909','bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb',0,'deb/1','reproduced','[]','','sha256:dee98ad727b1320b7e048b430990cbe0ebeaafb65dc7bf2228c800650e026580','deb/demo','2026-11-01T12:00:00Z');
INSERT INTO "comparisons" VALUES(2,2,'1.1-1','amd64','sha256:9c2bb464ec8b1d46b363608b0b00295a745140955167d321f1dad0e89f3629f5','bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb',0,'deb/1','different','["payload-changed"]','','sha256:4a17947718c1e880a0e23c475d70aa724c4c331796f1a727843e795960492686','deb/demo','2026-11-02T12:00:00Z');
CREATE TABLE events (
	id INTEGER NOT NULL, 
	kind TEXT NOT NULL, 
	subject TEXT NOT NULL, 
	detail TEXT NOT NULL, 
	at VARCHAR(20) NOT NULL, 
	PRIMARY KEY (id)
);
CREATE TABLE index_dates (
	archive TEXT NOT NULL, 
	suite TEXT NOT NULL, 
	highest VARCHAR(20) NOT NULL, 
	document VARCHAR(71) NOT NULL, 
	seen_at VARCHAR(20) NOT NULL, 
	PRIMARY KEY (archive, suite)
);
CREATE TABLE jobs (
	id INTEGER NOT NULL, 
	release INTEGER NOT NULL, 
	"plan" VARCHAR(71), 
	kind TEXT NOT NULL, 
	state TEXT NOT NULL, 
	priority INTEGER NOT NULL, 
	attempts INTEGER NOT NULL, 
	fence INTEGER NOT NULL, 
	not_before VARCHAR(20), 
	created_at VARCHAR(20) NOT NULL, 
	changed_at VARCHAR(20) NOT NULL, 
	PRIMARY KEY (id), 
	FOREIGN KEY(release) REFERENCES releases (id)
);
CREATE TABLE leases (
	job INTEGER NOT NULL, 
	fence INTEGER NOT NULL, 
	worker TEXT NOT NULL, 
	claimed_at VARCHAR(20) NOT NULL, 
	heartbeat_at VARCHAR(20) NOT NULL, 
	expires_at VARCHAR(20) NOT NULL, 
	ended_at VARCHAR(20), 
	PRIMARY KEY (job, fence), 
	FOREIGN KEY(job) REFERENCES jobs (id)
);
CREATE TABLE outputs (
	"plan" VARCHAR(71) NOT NULL, 
	builder TEXT NOT NULL, 
	ordinal INTEGER NOT NULL, 
	filename TEXT NOT NULL, 
	digest VARCHAR(71) NOT NULL, 
	size_bytes INTEGER NOT NULL, 
	PRIMARY KEY ("plan", builder, ordinal, filename)
);
CREATE TABLE rebuilds (
	"plan" VARCHAR(71) NOT NULL, 
	builder TEXT NOT NULL, 
	ordinal INTEGER NOT NULL, 
	reserved_at VARCHAR(20) NOT NULL, 
	document VARCHAR(71), 
	outcome TEXT, 
	reason TEXT, 
	log VARCHAR(71), 
	environment_tree VARCHAR(71), 
	fresh_environment BOOLEAN, 
	started_at VARCHAR(20), 
	finished_at VARCHAR(20), 
	PRIMARY KEY ("plan", builder, ordinal)
);
CREATE TABLE releases (
	id INTEGER NOT NULL, 
	ecosystem TEXT NOT NULL, 
	distribution TEXT NOT NULL, 
	suite TEXT NOT NULL, 
	name TEXT NOT NULL, 
	version TEXT NOT NULL, 
	target TEXT NOT NULL, 
	document VARCHAR(71) NOT NULL, 
	first_seen VARCHAR(20) NOT NULL, 
	last_seen VARCHAR(20) NOT NULL, 
	PRIMARY KEY (id), 
	UNIQUE (ecosystem, distribution, suite, name, version)
);
INSERT INTO "releases" VALUES(1,'deb','debian','trixie','demo','1.0-1','pkg:deb/debian/demo@1.0-1?arch=source&distro=trixie','sha256:ba70d4bad0e96e5ff15c82f2f35c40858bf33031be15d4a9be2c535eedc66060','2026-11-01T12:00:00Z','2026-11-01T12:00:00Z');
INSERT INTO "releases" VALUES(2,'deb','debian','trixie','demo','1.1-1','pkg:deb/debian/demo@1.1-1?arch=source&distro=trixie','sha256:7be92382aab34b30f7fa5430fc1c8e879ba4db58f2d460c3c2c59d6a510a956c','2026-11-02T12:00:00Z','2026-11-02T12:00:00Z');
CREATE TABLE sightings (
	ecosystem TEXT NOT NULL, 
	distribution TEXT NOT NULL, 
	filename TEXT NOT NULL, 
	digest VARCHAR(71) NOT NULL, 
	size_bytes INTEGER NOT NULL, 
	first_seen VARCHAR(20) NOT NULL, 
	last_seen VARCHAR(20) NOT NULL, 
	PRIMARY KEY (ecosystem, distribution, filename, digest)
);
CREATE TABLE verdicts (
	comparison INTEGER NOT NULL, 
	filename TEXT NOT NULL, 
	verdict TEXT NOT NULL, 
	causes JSON NOT NULL, 
	stabilizers JSON NOT NULL, 
	control TEXT NOT NULL, 
	reference VARCHAR(71), 
	rebuilt VARCHAR(71), 
	PRIMARY KEY (comparison, filename), 
	FOREIGN KEY(comparison) REFERENCES comparisons (id)
);
INSERT INTO "verdicts" VALUES(1,'demo_1.0-1_amd64.deb','reproduced','[]','[]','not-needed','sha256:b04e5ea201bb040cae53f693f6a38a3e00b62da6039ca248fecd59b7fc842894','sha256:9ae832844d70dd5a06b8c70f3f4f68bbe1c907b116d378c9654b217d4a7b6b4c');
INSERT INTO "verdicts" VALUES(2,'demo_1.1-1_amd64.deb','different','["payload-changed"]','[]','not-needed','sha256:b04e5ea201bb040cae53f693f6a38a3e00b62da6039ca248fecd59b7fc842894','sha256:9ae832844d70dd5a06b8c70f3f4f68bbe1c907b116d378c9654b217d4a7b6b4c');
CREATE TABLE withdrawals (
	comparison INTEGER NOT NULL, 
	reason TEXT NOT NULL, 
	"key" TEXT NOT NULL, 
	superseded_by VARCHAR(71), 
	digest VARCHAR(71) NOT NULL, 
	withdrawn_at VARCHAR(20) NOT NULL, 
	PRIMARY KEY (comparison), 
	FOREIGN KEY(comparison) REFERENCES comparisons (id)
);
INSERT INTO "withdrawals" VALUES(2,'a bad disk','cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc','sha256:dee98ad727b1320b7e048b430990cbe0ebeaafb65dc7bf2228c800650e026580','sha256:43cc23fa52b87b4cc1d02b5b114154151d6adddb17c9fddc06b027fa99e24008','2026-11-04T12:00:00Z');
CREATE INDEX jobs_owed ON jobs (state, priority, id);
CREATE INDEX ix_comparisons_concluded_at ON comparisons (concluded_at);
CREATE INDEX ix_comparisons_release ON comparisons (release);
CREATE INDEX ix_comparisons_plan ON comparisons ("plan");
COMMIT;
PRAGMA user_version = 2;
