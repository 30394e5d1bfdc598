"""Everything that one node serves over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kazoo_bridge.console.files import page_files
from kazoo_bridge.rest.openapi.document import OpenApiResource
from kazoo_bridge.rest.resources.accounts import AccountResource
from kazoo_bridge.rest.resources.attempts import AttemptResource
from kazoo_bridge.rest.resources.auth import AuthResource
from kazoo_bridge.rest.resources.catalogue import SampleResource
from kazoo_bridge.rest.resources.channels import ChannelResource
from kazoo_bridge.rest.resources.console import ConsoleResource, WebsocketLocation
from kazoo_bridge.rest.resources.deliveries import DeliveryResource
from kazoo_bridge.rest.resources.events import EventStreamResource
from kazoo_bridge.rest.resources.health import HealthResource
from kazoo_bridge.rest.resources.hook_actions import HookActionResource
from kazoo_bridge.rest.resources.limits import LimitResource
from kazoo_bridge.rest.resources.metrics import MetricResource
from kazoo_bridge.rest.resources.webhooks import WebhookResource
from kazoo_bridge.rest.resources.websockets import WebsocketResource
from kazoo_bridge.rest.server.site import Resource
from kazoo_bridge.webhooks.hooks.hook_document import document_schema

if TYPE_CHECKING:
    from kazoo_bridge.node.node import Node


def build_resources(bridge: Node) -> list[Resource]:
    """All resources of the node, each of which knows its paths."""
    directory, node, websockets = bridge.directory, bridge.node, bridge.websockets
    room, hook_types = bridge.webhooks, list(bridge.webhooks.catalogue.types.values())
    return [
        AttemptResource(directory, room.hooks, room.recorder, node),
        DeliveryResource(directory, room.hooks, room.dead_letters, node),
        HookActionResource(directory, room.hooks, room.sample_sender, node),
        WebhookResource(directory, room.hooks, room.health, hook_types, node),
        SampleResource(hook_types, node),
        AccountResource(directory, node),
        AuthResource(directory, node, bridge.reactor),
        LimitResource(directory, room.stores.limits, node),
        WebsocketResource(directory, websockets.catalogue, websockets.queries, node),
        EventStreamResource(bridge.reactor, directory, websockets.streams, node),
        ChannelResource(directory, bridge.calls, node),
        ConsoleResource(page_files(), _websocket_location(bridge), node),
        MetricResource(bridge.metrics),
        HealthResource(bridge.readiness_problems),
        OpenApiResource.from_documents(document_schema(room.catalogue.ids)),
    ]


def _websocket_location(bridge: Node) -> WebsocketLocation:
    config = bridge.config
    secure = config.websockets.endpoint.startswith(("ssl:", "tls:"))
    return WebsocketLocation(config.console.websocket_uri, secure, lambda: bridge.websockets.port)
