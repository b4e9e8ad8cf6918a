// Package flv is the driver of cameras and servers that send FLV over HTTP (H6).
//
//	http://user:password@host/live/cam.flv?token=x      https:// over TLS
//	http+flv://host/flv?port=1935&stream=main           where the path does not end in .flv
//
// User and password sign in by HTTP's Basic scheme. The parameters tls=insecure, tls-ca=FILE and
// tls-sha256=FINGERPRINT say whom https:// trusts; all others go to the server as they are.
//
// It takes H.264 (codec 7), H.265 (codec 12, which no standard knows, and "hvc1" of Enhanced RTMP)
// and AV1 ("av01"), AAC and G.711. What is called here a tag, a codec, a sequence header are Adobe's
// words ("Video File Format Specification Version 10", annex E; veovera.org, "Enhanced RTMP").
//
// The worker that reads frames reads the connection: bytes go from it straight into the arena, and
// no goroutine stands between. An answer with a Content-Length is a download, which can be held back
// and has an end; any other is live, and where it ends the camera went away.
package flv
