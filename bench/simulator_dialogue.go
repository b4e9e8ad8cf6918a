package bench

import (
	"bufio"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/hal/nal"
)

// request is one of RTSP.
type request struct {
	method, url, cseq, transport string
}

const (
	maxHeads   = 64       // header lines of a message
	maxMessage = 64 << 10 // bytes of a message's body
)

var errDialogue = errors.New("no RTSP")

// readRequest reads the next request; RTP and RTCP in between are thrown away.
func readRequest(r *bufio.Reader) (q request, err error) {
	for {
		head, gone := r.Peek(interleavedHead)
		if gone != nil {
			return q, gone
		}
		if head[0] != '$' {
			break
		}
		if _, err = r.Discard(interleavedHead + int(head[2])<<8 + int(head[3])); err != nil {
			return q, err
		}
	}
	line, err := headLine(r)
	if err != nil {
		return q, err
	}
	first := strings.Fields(line)
	if len(first) != 3 {
		return q, errDialogue
	}
	q.method, q.url = first[0], first[1]
	heads, err := readHeads(r)
	q.cseq, q.transport = heads["cseq"], heads["transport"]
	return q, err
}

// readHeads reads the header lines of a message, by their names in lower case, and throws its body away.
func readHeads(r *bufio.Reader) (map[string]string, error) {
	heads, body, err := readMessage(r)
	if err == nil {
		_, err = io.CopyN(io.Discard, r, int64(body))
	}
	return heads, err
}

// readMessage reads the header lines and says how long the body is.
func readMessage(r *bufio.Reader) (heads map[string]string, body int, err error) {
	heads = map[string]string{}
	for range maxHeads {
		line, err := headLine(r)
		if err != nil {
			return nil, 0, err
		}
		if line == "" {
			if text := heads["content-length"]; text != "" {
				if body, err = strconv.Atoi(text); err != nil || body < 0 || body > maxMessage {
					return nil, 0, errDialogue
				}
			}
			return heads, body, nil
		}
		name, value, _ := strings.Cut(line, ":")
		heads[strings.ToLower(name)] = strings.TrimSpace(value)
	}
	return nil, 0, errDialogue
}

// headLine reads a line that fits into the reader's buffer.
func headLine(r *bufio.Reader) (string, error) {
	line, err := r.ReadSlice('\n')
	return strings.TrimRight(string(line), "\r\n"), err
}

// channelOf is the camera's number in a URL: …/camNNN or …/camNNN/trackID=1.
func channelOf(url string) (channel, track int, ok bool) {
	_, path, ok := strings.Cut(url, "://")
	if !ok {
		return 0, 0, false
	}
	parts := strings.Split(path, "/")
	if len(parts) < 2 || !strings.HasPrefix(parts[1], "cam") {
		return 0, 0, false
	}
	channel, err := strconv.Atoi(parts[1][len("cam"):])
	if err != nil || channel < 0 {
		return 0, 0, false
	}
	if len(parts) > 2 && parts[2] == "trackID=1" {
		track = 1
	}
	return channel, track, true
}

// describe is the SDP of a clip.
func (c *clip) describe() string {
	var b strings.Builder
	b.WriteString("v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=camera\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\na=control:*\r\n")
	fmt.Fprintf(&b, "m=video 0 RTP/AVP %d\r\na=framerate:%d\r\n", videoType, simRate)
	text := base64.StdEncoding.EncodeToString
	t := c.video
	if t.Codec == hal.H265 {
		fmt.Fprintf(&b, "a=rtpmap:%d H265/%d\r\na=fmtp:%d sprop-vps=%s; sprop-sps=%s; sprop-pps=%s\r\n",
			videoType, simScale, videoType, text(t.VPS), text(t.SPS), text(t.PPS))
	} else {
		fmt.Fprintf(&b, "a=rtpmap:%d H264/%d\r\na=fmtp:%d packetization-mode=1; profile-level-id=%X; sprop-parameter-sets=%s,%s\r\n",
			videoType, simScale, videoType, t.SPS[nal.HeaderLen(hal.H264):][:3], text(t.SPS), text(t.PPS))
	}
	b.WriteString("a=control:trackID=0\r\n")
	fmt.Fprintf(&b, "m=audio 0 RTP/AVP %d\r\na=rtpmap:%d mpeg4-generic/%d/%d\r\n", audioType, audioType, c.audio.SampleRate, c.audio.Channels)
	fmt.Fprintf(&b, "a=fmtp:%d profile-level-id=1; mode=AAC-hbr; sizelength=13; indexlength=3; indexdeltalength=3; config=%x\r\n", audioType, c.audio.AudioConfig)
	b.WriteString("a=control:trackID=1\r\n")
	return b.String()
}

// response is an answer with its header lines and body.
func response(q request, status string, body string, heads ...string) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "RTSP/1.0 %s\r\nCSeq: %s\r\n", status, q.cseq)
	for _, head := range heads {
		b.WriteString(head + "\r\n")
	}
	if body != "" {
		fmt.Fprintf(&b, "Content-Length: %d\r\n", len(body))
	}
	b.WriteString("\r\n" + body)
	return []byte(b.String())
}
