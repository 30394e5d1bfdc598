"""The bus when brokers die, refuse, or have the wrong certificate."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
import pytest_twisted
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from twisted.internet import reactor, ssl
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.endpoints import SSL4ServerEndpoint, TCP4ServerEndpoint
from twisted.internet.interfaces import IListeningPort
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.threads import deferToThread
from twisted.logger import LogLevel
from twisted.protocols.portforward import ProxyFactory

from kazoo_bridge.bus.amqp import AmqpBus
from kazoo_bridge.config import parse_uri
from kazoo_bridge.interfaces import BusUnavailable, Queue, Topic
from kazoo_bridge.kazoo import TARGETED, Event
from tests.integration.amqp_harness import CapturedLog, RecordingHandler, is_available, running_bus, until
from tests.integration.cutting_proxy import CuttingProxy
from tests.integration.rabbitmq import RabbitNode, free_port


@pytest.fixture
def node(mortal_rabbit: RabbitNode) -> RabbitNode:
    return mortal_rabbit


@pytest_twisted.ensureDeferred
async def test_after_a_restart_of_the_broker_everything_works_again(node: RabbitNode) -> None:
    """Everything is declared anew; acknowledgements of the old connection are dropped silently."""
    unfinished: Deferred[None] = Deferred()
    seen = RecordingHandler(lambda event: unfinished if event.routing_key == "call.held.x" else None)
    copies = RecordingHandler()
    topics = frozenset({Topic("callevt", "call.#"), Topic("im", "#")})
    async with running_bus(node.uri) as bus:
        bus.consume(Queue("test.killed", topics, durable=True, prefetch=10), seen)
        copying = bus.consume(Queue("", frozenset({Topic("callevt", "call.#")})), copies)
        await until(is_available(bus), "the bus to be available")
        await copying.bind(Topic("presence", "late"))
        await bus.publish("callevt", "call.held.x", {"n": 1}, mandatory=True)
        await until(seen.has(1), "the first message")

        await deferToThread(node.kill)
        await until(lambda: bus.unavailable_reason() is not None, "the loss to be noticed")
        await until(lambda: "connection refused" in str(bus.unavailable_reason()), "the refusal")
        assert f"amqp://127.0.0.1:{node.port}/: connection refused" in str(bus.unavailable_reason())
        with pytest.raises(BusUnavailable):
            await bus.publish("callevt", "call.lost.x", {})
        with CapturedLog() as log:
            unfinished.callback(None)
            await deferToThread(node.start)
            await until(is_available(bus), "the bus to be available again")
            await bus.publish("callevt", "call.new.x", {"n": 2}, mandatory=True)
            await bus.publish("presence", "late", {}, mandatory=True)
            await until(lambda: "call.new.x" in seen.keys, "the message after the restart")
            await until(lambda: {"call.new.x", "late"} <= set(copies.keys), "the copies after the restart")
        assert log.at_least(LogLevel.error) == []


@pytest.fixture
def proxy(node: RabbitNode) -> Iterator[CuttingProxy]:
    """Stands between the bus and the broker, to cut connections."""
    running = CuttingProxy(node.port, lambda _number: (None, None))
    yield running
    running.stop()


def uri_of(proxy: CuttingProxy) -> str:
    return f"amqp://guest:guest@127.0.0.1:{proxy.port}/"


@pytest_twisted.ensureDeferred
async def test_an_unconfirmed_message_fails_when_the_connection_breaks(proxy: CuttingProxy) -> None:
    async with running_bus(uri_of(proxy)) as bus:
        await until(is_available(bus), "the bus to be available")
        await bus.publish("im", "x", {})
        unconfirmed = bus.publish("im", "x", {})
        proxy.cut_all()
        with pytest.raises(BusUnavailable, match="before the broker confirmed"):
            await unconfirmed
        await until(is_available(bus), "the bus to be available again")
        await bus.publish("im", "x", {})


@pytest_twisted.ensureDeferred
@pytest.mark.parametrize("replies", [0, 2])
async def test_a_request_ends_when_its_connection_breaks(
    node: RabbitNode, proxy: CuttingProxy, replies: int
) -> None:
    """It ends at once with the replies that arrived, or fails without any; and the next request works."""
    received = RecordingHandler()
    arrived: list[int] = []

    def count(found: Sequence[Event]) -> bool:
        arrived.append(len(found))
        return False

    async with running_bus(node.uri) as responder, running_bus(uri_of(proxy)) as bus:

        def respond(request: Event) -> Deferred[None]:
            return responder.publish(TARGETED, request.body["Server-ID"], {"Msg-ID": request.message_id})

        for _ in range(replies):
            responder.consume(Queue("", frozenset({Topic("sysconf", "question")})), respond)
        responder.consume(Queue("", frozenset({Topic("sysconf", "question")})), received)
        await until(is_available(responder), "the responder to be available")
        requested = bus.request("sysconf", "question", {}, timeout=60, done_when=count)
        await until(lambda: received.events and len(arrived) == replies, "the request and its replies")
        began = reactor.seconds()
        proxy.cut_all()
        if replies:
            assert len(await requested) == replies
        else:
            # Before or after the broker confirmed the request.
            ends = r"lost before a reply arrived|ended before the broker confirmed"
            with pytest.raises(BusUnavailable, match=ends):
                await requested
        assert reactor.seconds() - began < 10
        again = await bus.request("sysconf", "question", {}, timeout=20, done_when=bool) if replies else []
        assert bool(again) == bool(replies)


@pytest_twisted.ensureDeferred
async def test_the_second_broker_is_used_while_the_first_is_down(node: RabbitNode) -> None:
    with CapturedLog() as log:
        async with running_bus(f"amqp://guest:geheim@127.0.0.1:{free_port()}/", node.uri) as bus:
            await until(is_available(bus), "the bus to be available", within=20)
            await bus.publish("im", "x", {})
    warnings = log.at_least(LogLevel.warn)
    assert warnings
    assert all("connection refused" in line and "geheim" not in line for line in warnings)


@pytest_twisted.ensureDeferred
@pytest.mark.parametrize(
    ("path", "words"),
    [("guest:geheim@HOST/", "ACCESS_REFUSED"), ("guest:guest@HOST/keiner", "vhost keiner not found")],
)
async def test_a_refused_login_is_logged_without_the_password_and_tried_again(
    node: RabbitNode, path: str, words: str
) -> None:
    with CapturedLog() as log:
        async with running_bus("amqp://" + path.replace("HOST", f"127.0.0.1:{node.port}")) as bus:
            await until(
                lambda: len([line for line in log.at_least(LogLevel.warn) if words in line]) >= 4,
                "both connections to try again",
            )
            assert words in str(bus.unavailable_reason())
            assert str(bus.unavailable_reason()).startswith(f"no connection to amqp://127.0.0.1:{node.port}/")
    assert not any("geheim" in line for line in log.at_least(LogLevel.debug))
    assert log.at_least(LogLevel.error) == []


@pytest_twisted.ensureDeferred
async def test_a_blocked_broker_accepts_no_messages_but_consumers_continue(node: RabbitNode) -> None:
    seen = RecordingHandler()
    async with running_bus(node.uri) as bus:
        bus.consume(Queue("test.blocked", frozenset({Topic("im", "#")}), durable=True, prefetch=1), seen)
        await until(is_available(bus), "the bus to be available")
        for number in range(3):
            await bus.publish("im", "before", {"n": number})
        await deferToThread(node.evaluate, "vm_memory_monitor:set_vm_memory_high_watermark(0.0000001)")
        try:
            stuck = bus.publish("im", "stuck", {})
            with pytest.raises(BusUnavailable, match="blocked"):
                await stuck
            assert str(bus.unavailable_reason()).startswith("broker has blocked publishing: low on memory")
            with pytest.raises(BusUnavailable, match="blocked"):
                await bus.publish("im", "refused", {})
            await until(seen.has(3), "the messages from before")
        finally:
            await deferToThread(node.evaluate, "vm_memory_monitor:set_vm_memory_high_watermark(0.4)")
        await until(is_available(bus), "the bus to be available again")
        await bus.publish("im", "after", {})
        await until(lambda: "after" in seen.keys, "a message after the block")


class SilentProtocol(Protocol):
    """Accepts connections and sends nothing."""


@pytest_twisted.ensureDeferred
@pytest.mark.parametrize("state", ["connecting", "waiting"])
async def test_stopping_while_there_is_no_connection_is_quick_and_quiet(state: str) -> None:
    listening = await TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1").listen(
        Factory.forProtocol(SilentProtocol)
    )
    port = listening.getHost().port if state == "connecting" else free_port()
    began = reactor.seconds()
    bus = AmqpBus(reactor, [parse_uri(f"amqp://127.0.0.1:{port}/")])
    bus.startService()
    if state == "waiting":
        await until(lambda: "refused" in str(bus.unavailable_reason()), "the refusal")
    with CapturedLog() as log:
        await bus.stopService()
    await listening.stopListening()
    assert reactor.seconds() - began < 8
    assert log.at_least(LogLevel.error) == []


# -- TLS ----------------------------------------------------------------------------------------


def make_certificates(folder: Path, host: str) -> tuple[Path, Path]:
    """Make a CA and a certificate for `host`; return the file of the CA, and that of key and certificate."""
    now = datetime.now(UTC)

    def certificate(
        subject: str,
        issuer: str,
        public: ec.EllipticCurvePublicKey,
        signer: ec.EllipticCurvePrivateKey,
        ca: bool,
    ) -> bytes:
        alternative: x509.GeneralName
        try:
            alternative = x509.IPAddress(ip_address(host))
        except ValueError:
            alternative = x509.DNSName(host)
        built = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, subject)]))
            .issuer_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, issuer)]))
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName([alternative]), critical=False)
            .sign(signer, hashes.SHA256())
        )
        return built.public_bytes(serialization.Encoding.PEM)

    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    ca_file, server_file = folder / "ca.pem", folder / "server.pem"
    ca_file.write_bytes(certificate("test CA", "test CA", ca_key.public_key(), ca_key, ca=True))
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    server_file.write_bytes(private + certificate("server", "test CA", key.public_key(), ca_key, ca=False))
    return ca_file, server_file


class TlsFront:
    """Accepts TLS connections and forwards them to a broker without TLS."""

    def __init__(self, listening: IListeningPort, ca_file: Path) -> None:
        address = listening.getHost()
        assert isinstance(address, IPv4Address)
        self.port = address.port
        self._listening = listening
        self.ca_file = ca_file

    @classmethod
    async def start(cls, folder: Path, host: str, broker: int) -> TlsFront:
        ca_file, server_file = make_certificates(folder, host)
        options = ssl.PrivateCertificate.loadPEM(server_file.read_bytes()).options()
        endpoint = SSL4ServerEndpoint(reactor, 0, options, interface="127.0.0.1")
        return cls(await endpoint.listen(ProxyFactory("127.0.0.1", broker)), ca_file)

    async def stop(self) -> None:
        await maybeDeferred(self._listening.stopListening)


@pytest_twisted.async_yield_fixture
async def right_front(node: RabbitNode, tmp_path: Path) -> AsyncIterator[TlsFront]:
    front = await TlsFront.start(tmp_path, "localhost", node.port)
    yield front
    await front.stop()


@pytest_twisted.async_yield_fixture
async def wrong_front(node: RabbitNode, tmp_path: Path) -> AsyncIterator[TlsFront]:
    front = await TlsFront.start(tmp_path, "elsewhere.example", node.port)
    yield front
    await front.stop()


@pytest_twisted.ensureDeferred
async def test_tls_with_a_private_ca(right_front: TlsFront) -> None:
    seen = RecordingHandler()
    async with running_bus(f"amqps://localhost:{right_front.port}/?cacertfile={right_front.ca_file}") as bus:
        bus.consume(Queue("", frozenset({Topic("im", "#")})), seen)
        await until(is_available(bus), "the bus to be available")
        await bus.publish("im", "x", {"pad": "€" * 100_000}, mandatory=True)
        await until(seen.has(1), "the message")


@pytest_twisted.ensureDeferred
async def test_tls_with_an_unknown_ca_is_refused(right_front: TlsFront) -> None:
    async with running_bus(f"amqps://localhost:{right_front.port}/") as bus:
        await until(
            lambda: "certificate" in str(bus.unavailable_reason()),
            f"the refusal ({bus.unavailable_reason()})",
        )
        assert str(bus.unavailable_reason()).endswith("TLS: certificate verify failed")


@pytest_twisted.ensureDeferred
async def test_tls_with_a_certificate_for_another_host_is_refused(wrong_front: TlsFront) -> None:
    async with running_bus(f"amqps://localhost:{wrong_front.port}/?cacertfile={wrong_front.ca_file}") as bus:
        await until(
            lambda: "TLS" in str(bus.unavailable_reason()), f"the refusal ({bus.unavailable_reason()})"
        )
        assert str(bus.unavailable_reason()).endswith("TLS: the certificate is for another host")


@pytest_twisted.ensureDeferred
async def test_a_missing_ca_file_is_named(tmp_path: Path) -> None:
    async with running_bus(f"amqps://localhost/?cacertfile={tmp_path}/none.pem") as bus:
        await until(lambda: "none.pem" in str(bus.unavailable_reason()), "the mistake")
        assert str(bus.unavailable_reason()).endswith("none.pem' cannot be read: No such file or directory")


@pytest_twisted.ensureDeferred
async def test_heartbeats_keep_a_quiet_connection(node: RabbitNode) -> None:
    with CapturedLog() as log:
        async with running_bus(node.uri + "?heartbeat=1") as bus:
            await until(is_available(bus), "the bus to be available")
            began = reactor.seconds()
            await until(lambda: reactor.seconds() - began > 3, "more than two intervals to pass")
            assert bus.unavailable_reason() is None
    assert log.at_least(LogLevel.warn) == []
