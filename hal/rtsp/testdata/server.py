"""A GStreamer RTSP server for the tests.

Its only argument is a JSON object: "mounts" maps paths to {"launch", "multicast", "user",
"password", "auth"}, "tls" names a file with certificate and key, "address" is where it listens
(default 127.0.0.1). It prints "port N" when it
serves, and "client" for each connection that it accepts.
"""
import json
import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
gi.require_version("GstRtsp", "1.0")
from gi.repository import Gio, GLib, Gst, GstRtsp, GstRtspServer  # noqa: E402


def say(line):
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main():
    conf = json.loads(sys.argv[1])
    Gst.init(None)
    server = GstRtspServer.RTSPServer()
    server.set_address(conf.get("address", "127.0.0.1"))
    server.set_service("0")
    mounts = server.get_mount_points()
    auth = None
    if conf.get("tls") or conf.get("user"):
        auth = GstRtspServer.RTSPAuth()
        auth.set_realm("camera")
    if conf.get("tls"):
        auth.set_tls_certificate(Gio.TlsCertificate.new_from_file(conf["tls"]))
    if conf.get("user"):
        token = GstRtspServer.RTSPToken()
        token.set_string(GstRtspServer.RTSP_TOKEN_MEDIA_FACTORY_ROLE, "viewer")
        if conf.get("auth") == "basic":
            auth.set_supported_methods(GstRtsp.RTSPAuthMethod.BASIC)
            auth.add_basic(GstRtspServer.RTSPAuth.make_basic(conf["user"], conf["password"]), token)
        else:
            auth.set_supported_methods(GstRtsp.RTSPAuthMethod.DIGEST)
            auth.add_digest(conf["user"], conf["password"], token)
    else:
        if auth:
            token = GstRtspServer.RTSPToken()
            token.set_string(GstRtspServer.RTSP_TOKEN_MEDIA_FACTORY_ROLE, "viewer")
            auth.set_default_token(token)
    if auth:
        server.set_auth(auth)
    for i, (path, mount) in enumerate(conf["mounts"].items()):
        factory = GstRtspServer.RTSPMediaFactory()
        factory.set_launch(mount["launch"])
        factory.set_latency(50)
        if auth:
            perms = GstRtspServer.RTSPPermissions()
            perms.add_permission_for_role("viewer", "media.factory.access", True)
            perms.add_permission_for_role("viewer", "media.factory.construct", True)
            factory.set_permissions(perms)
        if mount.get("multicast"):
            factory.set_shared(True)
            factory.set_protocols(GstRtsp.RTSPLowerTrans.UDP_MCAST)
            pool = GstRtspServer.RTSPAddressPool()
            pool.add_range("239.255.1.1", "239.255.1.9", 5000 + 20 * i, 5019 + 20 * i, 1)
            factory.set_address_pool(pool)
        mounts.add_factory(path, factory)
    server.connect("client-connected", lambda *_: say("client"))
    server.attach(None)
    say("port %d" % server.get_bound_port())
    GLib.MainLoop().run()


main()
