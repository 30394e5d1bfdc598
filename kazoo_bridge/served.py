"""Everything that one node serves over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kazoo_bridge.console.files import page_files
from kazoo_bridge.rest.account_tree import AccountResource
from kazoo_bridge.rest.attempts import AttemptResource
from kazoo_bridge.rest.catalogue import SampleResource
from kazoo_bridge.rest.channels import ChannelResource
from kazoo_bridge.rest.console import ConsoleResource, WebsocketPlace
from kazoo_bridge.rest.deliveries import DeliveryResource
from kazoo_bridge.rest.event_streams import EventStreamResource
from kazoo_bridge.rest.health import HealthResource
from kazoo_bridge.rest.hook_actions import HookActionResource
from kazoo_bridge.rest.limits import LimitResource
from kazoo_bridge.rest.logins import LoginResource
from kazoo_bridge.rest.metrics import MetricResource
from kazoo_bridge.rest.openapi.document import OpenApiResource
from kazoo_bridge.rest.site import Resource
from kazoo_bridge.rest.webhooks import WebhookResource
from kazoo_bridge.rest.websockets import WebsocketResource
from kazoo_bridge.webhooks.document import document_schema

if TYPE_CHECKING:
    from kazoo_bridge.bridge import Bridge


def resources(bridge: Bridge) -> list[Resource]:
    """All resources of the node, each of which knows its paths."""
    directory, node, websockets = bridge.directory, bridge.node, bridge.websockets
    room, hook_types = bridge.webhooks, list(bridge.webhooks.catalogue.types.values())
    return [
        AttemptResource(directory, room.hooks, room.recorder, node),
        DeliveryResource(directory, room.hooks, room.replay, node),
        HookActionResource(directory, room.hooks, room.trial, node),
        WebhookResource(directory, room.hooks, room.health, hook_types, node),
        SampleResource(hook_types, node),
        AccountResource(directory, node),
        LoginResource(directory, node, bridge.reactor),
        LimitResource(directory, room.stores.limits, node),
        WebsocketResource(directory, websockets.catalogue, websockets.questions, node),
        EventStreamResource(bridge.reactor, directory, websockets.streams, node),
        ChannelResource(directory, bridge.calls, node),
        ConsoleResource(page_files(), _websocket_place(bridge), node),
        MetricResource(bridge.figures),
        HealthResource(bridge.troubles),
        OpenApiResource.of(document_schema(room.catalogue.ids)),
    ]


def _websocket_place(bridge: Bridge) -> WebsocketPlace:
    config = bridge.config
    secure = config.websockets.endpoint.startswith(("ssl:", "tls:"))
    return WebsocketPlace(config.console.websocket_uri, secure, lambda: bridge.websockets.port)
