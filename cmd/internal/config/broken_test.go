package config_test

type breach struct{ name, text, want string }

// with puts lines into a channel that is right without them.
func with(lines string) string {
	return "channels:\n  - name: gate\n    source: synth://\n" + lines
}

func broken() []breach {
	return []breach{
		{
			"nothing", "", `m.yml:1:1: no channels: at least one, as in
channels:
  - name: gate
    source: rtsp://192.168.1.20/main`,
		},
		{
			"a text", "just words", `m.yml:1:1: is text: an object with the keys data, listen, log, rtsp, engine, disk, store, uplink, spool, snapshots, defaults, channels`,
		},
		{
			"no YAML", "channels:\n  - name: gate\n source: x\n", `m.yml:3:2: no YAML: value is not allowed in this context: check the indentation, the colons and the quotes of this line and the one before`,
		},
		{
			"an open quote", "data: \"rec\nchannels: []\n", `m.yml:1:7: no YAML: could not find end character of double-quoted text: check the indentation, the colons and the quotes of this line and the one before`,
		},
		{
			"tabs", "channels:\n\t- name: gate\n", `m.yml:2:1: no YAML: found character '	' that cannot start any token: check the indentation, the colons and the quotes of this line and the one before`,
		},
		{
			"two documents", "data: a\n---\ndata: b\n", `m.yml:1:1: no channels: at least one, as in
channels:
  - name: gate
    source: rtsp://192.168.1.20/main
m.yml:2:1: a second YAML document: one file holds one configuration`,
		},
		{
			"unknown keys with the nearest one", "lisen: x\nchanels: y\nzzz: 1\n" + with("    recordd: {}\n    encode: {bitrat: 4M}\n"), `m.yml:1:1: unknown key "lisen": do you mean listen?
m.yml:2:1: unknown key "chanels": do you mean channels?
m.yml:3:1: unknown key "zzz": one of data, listen, log, rtsp, engine, disk, store, uplink, spool, snapshots, defaults, channels
m.yml:7:5: channels[0]: unknown key "recordd": do you mean record?
m.yml:8:14: channels[0].encode: unknown key "bitrat": do you mean bitrate?`,
		},
		{
			"a key twice", with("    encode:\n      gop: 5\n      gop: 6\n"), `m.yml:6:7: key "gop" given twice: the first is in line 5`,
		},
		{
			"wrong types", "data: 3\nlog: [1]\nrtsp: {enabled: yes please}\n" + with("    record: true\n    live: {frames: many}\n    encode: {codec: 264, gop: 2.5, bitrate: true}\n"), `m.yml:1:7: data: is "3" (a whole number): a folder
m.yml:2:6: log: is a list: an object with the keys level, format
m.yml:3:17: rtsp.enabled: is "yes please" (text): true or false
m.yml:7:13: channels[0].record: is true or false: an object with the keys enabled, dir, segment_duration, segment_bytes, fragment_duration, ring, read, keep, max_bytes, keep_events, sync, on_command, merge, merge_bytes, resume
m.yml:8:20: channels[0].live.frames: is "many" (text): a whole number from 8 to 65536
m.yml:9:21: channels[0].encode.codec: is "264" (a whole number): one of h264, h265, mjpeg
m.yml:9:31: channels[0].encode.gop: is "2.5" (a number): a whole number from 1 to 65535
m.yml:9:45: channels[0].encode.bitrate: is "true" (true or false): bits a second such as 800k or 4M, from 10k to 200M`,
		},
		{
			"numbers without or with wrong units", with("    record: {segment_duration: 600, segment_bytes: 1X, ring: 1}\n    encode: {bitrate: 4 Mbit}\n"), `m.yml:4:32: channels[0].record.segment_duration: is "600" (a whole number): a time with its unit, such as 500ms, 90s, 10m or 1h30m, from 1s to 24h
m.yml:4:52: channels[0].record.segment_bytes: is "1X": bytes such as 64M, 1G or 512Ki (k, M, G: thousands; Ki, Mi, Gi: 1024s), from 1M to 1T
m.yml:4:62: channels[0].record.ring: is "1": bytes such as 64M, 1G or 512Ki (k, M, G: thousands; Ki, Mi, Gi: 1024s), from 1Mi to 2G
m.yml:5:23: channels[0].encode.bitrate: is "4 Mbit": bits a second such as 800k or 4M, from 10k to 200M`,
		},
		{
			"how a recording is kept", with("    record: {sync: never, merge: yes, resume: 2h, on_command: 1}\n"), `m.yml:4:20: channels[0].record.sync: is "never": fragment, segment, or a time with its unit, such as 500ms, 90s, 10m or 1h30m, from 1s to 1h
m.yml:4:34: channels[0].record.merge: is "yes": one of remove, keep, off
m.yml:4:47: channels[0].record.resume: is "2h": a time with its unit, such as 500ms, 90s, 10m or 1h30m, from 0s to 1h
m.yml:4:63: channels[0].record.on_command: is "1" (a whole number): true or false`,
		},
		{
			"a ring and its reader", with(`    record:
      ring: {max: 2Mi, start: 4Mi, piece: x, threshold: 2, shrink: 1s}
      read: {empty: 1}
    live: {}
`), `m.yml:5:7: channels[0].record: a ring that starts at 4194304 bytes with a maximum of 2097152: it starts at most as large
m.yml:5:43: channels[0].record.ring.piece: is "x": bytes such as 64M, 1G or 512Ki (k, M, G: thousands; Ki, Mi, Gi: 1024s), from 64Ki to 2G
m.yml:5:57: channels[0].record.ring.threshold: is 2: a part of the whole such as 0.75, above 0 and at most 1
m.yml:5:60: channels[0].record.ring: unknown key "shrink": do you mean shrink_after?
m.yml:6:21: channels[0].record.read.empty: is 1: a whole number from 2 to 1000`,
		},
		{
			"a reader that is no reader", with("    record: {read: {floor: 1s, initial: 500ms}}\n"), `m.yml:4:14: channels[0].record: a ring read every 500ms at first, every 1s at the shortest, every 30s at the longest: at least 1ms, and floor ≤ initial ≤ max`,
		},
		{
			"out of range", "engine: {workers: 1, exit_timeout: 0s}\n" + with("    nice: -21\n    buffers: 1\n    encode: {gop: 0, quality: 101, codec: mjpeg}\n"), `m.yml:1:19: engine.workers: is 1: a whole number from 8 to 1048576
m.yml:1:36: engine.exit_timeout: is "0s": a time with its unit, such as 500ms, 90s, 10m or 1h30m, from 100ms to 5m
m.yml:5:11: channels[0].nice: is -21: a whole number from -20 to 19
m.yml:6:14: channels[0].buffers: is 1: a whole number from 2 to 64
m.yml:7:14: channels[0].encode.gop: goes with codec h264 or h265, not with mjpeg: quality says how good a JPEG is
m.yml:7:19: channels[0].encode.gop: is 0: a whole number from 1 to 65535
m.yml:7:31: channels[0].encode.quality: is 101: a whole number from 1 to 100`,
		},
		{
			"no channel", "data: rec\nchannels: []\n", `m.yml:2:11: channels: is empty: at least one channel`,
		},
		{
			"channels is a text", "channels: gate\n", `m.yml:1:11: channels: is text: a list of channels, each with a name and a source`,
		},
		{
			"no name, no source", "channels:\n  - live: {enabled: false}\n  - name: \"\"\n", `m.yml:2:5: channels[0]: has no name: name: gate
m.yml:2:5: channels[0]: has no source: source: URL, or sources: with a list, the preferred one first
m.yml:3:5: channels[1]: has no source: source: URL, or sources: with a list, the preferred one first
m.yml:3:11: channels[1].name: is empty: a name in quotes`,
		},
		{
			"a bad name", "channels:\n  - name: ../etc\n    source: synth://\n", `m.yml:2:11: channels[0].name: name "../etc": 1 to 64 letters, digits, '_', '-' or '.', a letter or digit first`,
		},
		{
			"one name twice", with("  - name: gate\n    source: synth://\n"), `m.yml:4:11: channels: a second channel named "gate": the first is in line 2; every channel has a name of its own`,
		},
		{
			"what stays", "disk: {max_bytes: 1, min_free: half}\n" + with("    record: {keep: 7, max_bytes: all, keep_events: 2x}\n"), `m.yml:1:19: disk.max_bytes: is "1": bytes such as 64M, 1G or 512Ki (k, M, G: thousands; Ki, Mi, Gi: 1024s), from 10M to 1000T
m.yml:1:32: disk.min_free: is "half": bytes such as 64M, 1G or 512Ki (k, M, G: thousands; Ki, Mi, Gi: 1024s), from 1M to 1000T
m.yml:5:20: channels[0].record.keep: is "7" (a whole number): a time with its unit, such as 90m, 12h, 7d or 1d12h, from 1m to 3660d
m.yml:5:34: channels[0].record.max_bytes: is "all": bytes such as 64M, 1G or 512Ki (k, M, G: thousands; Ki, Mi, Gi: 1024s), from 10M to 1000T
m.yml:5:52: channels[0].record.keep_events: is "2x": a time with its unit, such as 90m, 12h, 7d or 1d12h, from 1m to 3660d`,
		},
		{
			"one folder twice", with("  - name: yard\n    source: synth://\n    record: {dir: ./gate}\n"), `m.yml:6:19: record.dir: channels gate and yard record into one folder: each needs one of its own`,
		},
		{
			"source and sources", with("    sources: [synth://]\n"), `m.yml:4:5: channels[0]: has both source and sources: one of them; sources is the list, the preferred one first`,
		},
		{
			"a source no driver takes", "channels:\n  - name: gate\n    sources:\n      - rtps://admin:hunter2@10.0.0.9/main\n      - /dev/video0\n      - {url: ftp://10.0.0.9}\n      - 7\n", `m.yml:4:9: channels[0].sources[0]: source "rtps://admin:xxxxx@10.0.0.9/main": no driver takes "rtps": one of synth
m.yml:5:9: channels[0].sources[1]: is "/dev/video0": a URL such as rtsp://192.168.1.20/main, or an object with url, user, password and transport
m.yml:6:15: channels[0].sources[2].url: source "ftp://10.0.0.9": no driver takes "ftp": one of synth
m.yml:7:9: channels[0].sources[3]: is "7" (a whole number): a URL such as rtsp://192.168.1.20/main, or an object with url, user, password and transport`,
		},
		{
			"wrong parameters of a URL", "channels:\n  - name: gate\n    source: synth://?size=big&rte=25\n", `m.yml:3:13: channels[0].source: source "synth://?size=big&rte=25": unknown parameter "rte": one of audio, bitrate, codec, fail, frames, gop, pace, panic, pixel, rate, seed, size, stall, still; parameter size=big: WIDTHxHEIGHT, both even, from 160x112 to 4096x4096`,
		},
		{
			"a source's object", "channels:\n  - name: gate\n    sources:\n      - {user: bob}\n      - {url: rtsp://h/x, password: hunter2}\n      - {url: 'rtsp://u:hunter2@h/x', user: bob}\n      - {url: rtsp://h/x, transport: sctp}\n      - {url: synth://, transport: udp}\n      - {url: rtsp://h/x, user: bob, password: [hunter2]}\n", `m.yml:4:10: channels[0].sources[0]: has no url: url: rtsp://192.168.1.20/main
m.yml:5:37: channels[0].sources[1]: has a password but no user: user: NAME
m.yml:6:45: channels[0].sources[2]: has a user here and one in its url: one of them
m.yml:7:38: channels[0].sources[3].transport: is "sctp": one of tcp, udp, multicast
m.yml:8:36: channels[0].sources[4].transport: transport goes with rtsp:// and rtsps:// sources, not with synth
m.yml:9:48: channels[0].sources[5].password: is a list: text in quotes, ${NAME} for a variable of the environment, or file:PATH`,
		},
		{
			"secrets that are not there", "channels:\n  - name: gate\n    sources:\n      - rtsp://u:${NO_SUCH}@h/x\n      - 'rtsp://u:${file:/no/such}@h/x'\n      - rtsp://u:${GATE_PASSWORD@h/x\n      - {url: rtsp://h/x, user: u, password: file:/run/secrets/two}\n      - rtsp://u:${NO-NAME}@h/x\n", `m.yml:4:18: channels[0].sources[0]: the environment variable NO_SUCH is not set: set it for the program that reads this file
m.yml:5:19: channels[0].sources[1]: the secret's file /no/such cannot be read: file does not exist
m.yml:6:18: channels[0].sources[2]: a ${ without its }: ${NAME} is a variable of the environment, ${file:PATH} a file's content, $${ stands for ${ itself
m.yml:7:46: channels[0].sources[3].password: the secret's file /run/secrets/two has more than one line: the secret alone
m.yml:8:18: channels[0].sources[4]: ${NO-NAME} is no name of a variable: letters, digits and _, or ${file:PATH}`,
		},
		{
			"a secret in the wrong place", "data: ${GATE_PASSWORD}\nlisten: ${GATE_PASSWORD}\n" + with("    encode: {prefer: 3}\n  - name: ${GATE_PASSWORD}\n    source: synth://?size=${GATE_PASSWORD}\n"), `m.yml:2:9: listen: is "xxxxx": HOST:PORT with a port from 0 to 65535, such as 127.0.0.1:8080
m.yml:6:22: channels[0].encode.prefer[0]: is "3" (a whole number): an encoder's name, or a list of them; millrace devices lists them
m.yml:7:11: channels[1].name: name "xxxxx": 1 to 64 letters, digits, '_', '-' or '.', a letter or digit first
m.yml:8:13: channels[1].source: source "synth://?size=xxxxx": parameter size=xxxxx: WIDTHxHEIGHT, both even, from 160x112 to 4096x4096`,
		},
		{
			"keys that do not go together", with("    encode: {codec: mjpeg, bitrate: 4M, gop: 50}\n  - name: yard\n    source: synth://\n    encode: {quality: 80}\n  - name: lane\n    source: synth://\n    encode: {codec: h265, profile: baseline}\n"), `m.yml:4:28: channels[0].encode.bitrate: goes with codec h264 or h265, not with mjpeg: quality says how good a JPEG is
m.yml:4:41: channels[0].encode.gop: goes with codec h264 or h265, not with mjpeg: quality says how good a JPEG is
m.yml:7:14: channels[1].encode.quality: goes with codec mjpeg: bitrate says how good h264 is
m.yml:10:27: channels[2].encode.profile: baseline is no profile of h265: main`,
		},
		{
			"crop and scale", with("    encode: {crop: 640x360, scale: 641x360}\n"), `m.yml:4:20: channels[0].encode.crop: is "640x360": WIDTHxHEIGHT+X+Y, all even, such as 1280x720+320+180
m.yml:4:36: channels[0].encode.scale: is "641x360": WIDTHxHEIGHT, both even, from 16 to 16384, such as 1280x720`,
		},
		{
			"addresses", "listen: 0.0.0.0:8080\nrtsp: {listen: \"camera:8554\", udp: \"127.0.0.1:7001\"}\n" + with(""), `m.yml:1:9: listen: is "0.0.0.0:8080": an address of this machine alone, such as 127.0.0.1:8080: the API knows no users yet
m.yml:2:16: rtsp.listen: is "camera:8554": an IP address and a port, such as 127.0.0.1:8554, or 0.0.0.0:8554 for all addresses
m.yml:2:36: rtsp.udp: is "127.0.0.1:7001": an even port for RTP; RTCP takes the next one`,
		},
		{
			"one address for two", "listen: 127.0.0.1:8554\nrtsp: {listen: 127.0.0.1:8554}\n" + with(""), `m.yml:2:16: rtsp.listen: is the API's address too (listen): give one of them another port`,
		},
		{
			"a live queue that waits", with("    live: {full: wait}\n"), `m.yml:4:18: channels[0].live.full: is "wait": one of drop-until-key, drop-oldest, drop-newest`,
		},
		{
			"anchors, aliases, tags", "defaults: &d {nice: 1}\nchannels:\n  - <<: *d\n    name: !!str gate\n    source: synth://\n", `m.yml:1:11: anchors, aliases and merge keys are not taken: what all channels share goes under defaults
m.yml:3:5: anchors, aliases and merge keys are not taken: what all channels share goes under defaults
m.yml:3:9: anchors, aliases and merge keys are not taken: what all channels share goes under defaults
m.yml:4:11: tags are not taken: write the value alone, in quotes where it is text`,
		},
		{
			"in the defaults", "defaults:\n  name: x\n  record: {segment_duration: 1ms}\n" + with(""), `m.yml:2:3: defaults: unknown key "name": one of encode, record, live, frames, cloud, events, snapshot, pause, settle, open_timeout, buffers, nice
m.yml:3:30: defaults.record.segment_duration: is "1ms": a time with its unit, such as 500ms, 90s, 10m or 1h30m, from 1s to 24h`,
		},
	}
}
