package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/bluenviron/gortsplib/v5"
	"github.com/bluenviron/gortsplib/v5/pkg/base"
	"github.com/bluenviron/gortsplib/v5/pkg/description"
	"github.com/bluenviron/gortsplib/v5/pkg/format"
	"github.com/pion/rtp"
)

// process starts a server that is a process.
func process(name string, cmd *exec.Cmd) (*underway, error) {
	all := &processes{name: name}
	if err := all.start(cmd); err != nil {
		return nil, err
	}
	return &underway{pids: []int{cmd.Process.Pid}, stop: all.stop, broken: all.err}, nil
}

// beginOurs starts this program with one channel that is not recorded.
func (b *Fanout) beginOurs(ctx context.Context, camera, listen, dir string) (*underway, error) {
	text := fmt.Sprintf("data: %q\nlisten: \"127.0.0.1:0\"\nrtsp: {listen: %q, max_readers: %d}\n"+
		"channels:\n  - {name: %s, source: %q, record: {enabled: false}}\n", filepath.Join(dir, "rec"), listen, b.Readers[1]+64, channelName(0), camera)
	file := filepath.Join(dir, "millrace.yml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return nil, err
	}
	return process(oursName, exec.CommandContext(ctx, b.Self.Run[0], append(slices.Clone(b.Self.Run[1:]), "--config", file)...)) //nolint:gosec // this program
}

// beginMediaMTX starts MediaMTX with RTSP over TCP alone.
func beginMediaMTX(ctx context.Context, camera, listen, dir string) (*underway, error) {
	text := fmt.Sprintf("logLevel: warn\nrtspTransports: [tcp]\nrtspAddress: %q\nrtmp: false\nhls: false\nwebrtc: false\nsrt: false\nmoq: false\n"+
		"pathDefaults:\n  rtspTransport: tcp\npaths:\n  %s: {source: %q}\n", listen, channelName(0), camera)
	file := filepath.Join(dir, "mediamtx.yml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, "mediamtx", file)
	cmd.Dir = dir
	return process(mediamtxName, cmd)
}

// beginGortsplib starts gortsplib's server as it is.
func (b *Fanout) beginGortsplib(ctx context.Context, camera, listen, _ string) (*underway, error) {
	c, err := b.Self.start(ctx, roleRelay, relayConfig{Camera: camera, Listen: listen})
	if err != nil {
		return nil, err
	}
	return c.underway(), nil
}

// Roles of this bench.
const (
	roleRelay    = "relay"    // gortsplib's server
	roleAudience = "audience" // readers that look at what they get
)

// fanoutRole makes what this bench starts.
func fanoutRole(name string, config []byte) (role, error) { //nolint:ireturn // one of several
	switch name {
	case roleRelay:
		var cfg relayConfig
		err := json.Unmarshal(config, &cfg)
		return &relayRole{cfg: cfg}, err
	case roleAudience:
		var cfg audienceConfig
		err := json.Unmarshal(config, &cfg)
		return newAudience(cfg), err
	}
	return nil, fmt.Errorf("no such role: %q", name)
}

type relayConfig struct {
	Camera string `json:"camera"`
	Listen string `json:"listen"`
}

// relayRole reads a camera with gortsplib and serves it with gortsplib.
type relayRole struct {
	cfg    relayConfig
	stream *gortsplib.ServerStream
	path   string
}

// answer implements role.
func (*relayRole) answer(string) (any, error) { return true, nil }

// run implements role.
func (p *relayRole) run(ctx context.Context) (err error) {
	url, err := base.ParseURL(p.cfg.Camera)
	if err != nil {
		return err
	}
	tcp := gortsplib.ProtocolTCP
	client := &gortsplib.Client{Scheme: url.Scheme, Host: url.Host, Protocol: &tcp}
	if err = client.Start(); err != nil {
		return err
	}
	defer client.Close()
	desc, _, err := client.Describe(url)
	if err != nil {
		return err
	}
	server := &gortsplib.Server{Handler: p, RTSPAddress: p.cfg.Listen}
	if err := server.Start(); err != nil {
		return err
	}
	defer server.Close()
	p.path = strings.Trim(url.Path, "/")
	p.stream = &gortsplib.ServerStream{Server: server, Desc: desc}
	if err := p.stream.Initialize(); err != nil {
		return err
	}
	defer p.stream.Close()
	if err := client.SetupAll(desc.BaseURL, desc.Medias); err != nil {
		return err
	}
	client.OnPacketRTPAny(func(m *description.Media, _ format.Format, packet *rtp.Packet) {
		_ = p.stream.WritePacketRTP(m, packet) //nolint:errcheck // the readers notice
	})
	if _, err := client.Play(nil); err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, client.Close)
	defer stop()
	if err := client.Wait(); ctx.Err() == nil {
		return errors.Join(errors.New("the camera is gone"), err)
	}
	return nil
}

// OnDescribe implements gortsplib.ServerHandlerOnDescribe.
func (p *relayRole) OnDescribe(q *gortsplib.ServerHandlerOnDescribeCtx) (*base.Response, *gortsplib.ServerStream, error) {
	return p.known(q.Path)
}

// OnSetup implements gortsplib.ServerHandlerOnSetup.
func (p *relayRole) OnSetup(q *gortsplib.ServerHandlerOnSetupCtx) (*base.Response, *gortsplib.ServerStream, error) {
	return p.known(q.Path)
}

// OnPlay implements gortsplib.ServerHandlerOnPlay.
func (p *relayRole) OnPlay(*gortsplib.ServerHandlerOnPlayCtx) (*base.Response, error) {
	return &base.Response{StatusCode: base.StatusOK}, nil
}

// OnStreamWriteError implements gortsplib.ServerHandlerOnStreamWriteError: the readers notice.
func (*relayRole) OnStreamWriteError(*gortsplib.ServerHandlerOnStreamWriteErrorCtx) {}

func (p *relayRole) known(path string) (*base.Response, *gortsplib.ServerStream, error) {
	if strings.Trim(path, "/") != p.path {
		return &base.Response{StatusCode: base.StatusNotFound}, nil, nil
	}
	return &base.Response{StatusCode: base.StatusOK}, p.stream, nil
}
