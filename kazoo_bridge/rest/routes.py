"""All resources that one node serves over HTTP."""

from __future__ import annotations

from typing import Any

from attrs import frozen

from kazoo_bridge.console.files import page_files
from kazoo_bridge.documentation.files import api_files, documentation_files
from kazoo_bridge.interfaces import (
    IAccountManager,
    ICalls,
    IDirectory,
    INodes,
    IPivots,
    IWebhooks,
    IWebsockets,
)
from kazoo_bridge.rest.http.rate_limit import LoginThrottle
from kazoo_bridge.rest.http.routing import Resource
from kazoo_bridge.rest.openapi.document import OpenApiResource
from kazoo_bridge.rest.resources.account_changes import AccountChangeResource
from kazoo_bridge.rest.resources.accounts import AccountResource
from kazoo_bridge.rest.resources.apps import AppsResource
from kazoo_bridge.rest.resources.attempts import AttemptResource
from kazoo_bridge.rest.resources.auth import AuthResource
from kazoo_bridge.rest.resources.catalogue import CatalogueResource
from kazoo_bridge.rest.resources.channels import ChannelResource
from kazoo_bridge.rest.resources.console import ConsoleResource, WebsocketLocation
from kazoo_bridge.rest.resources.deliveries import DeliveryResource
from kazoo_bridge.rest.resources.documentation import DocumentationResource
from kazoo_bridge.rest.resources.events import EventStreamResource
from kazoo_bridge.rest.resources.hook_actions import HookActionResource
from kazoo_bridge.rest.resources.limits import LimitResource
from kazoo_bridge.rest.resources.new_calls import NewCallResource
from kazoo_bridge.rest.resources.nodes import NodeResource
from kazoo_bridge.rest.resources.operational import (
    Degradations,
    HealthResource,
    MetricResource,
    ReadinessProblems,
    ReadMetrics,
)
from kazoo_bridge.rest.resources.people import PeopleResource
from kazoo_bridge.rest.resources.pivot_door import PivotDoorResource
from kazoo_bridge.rest.resources.pivots import PivotResource
from kazoo_bridge.rest.resources.tokens import TokenResource
from kazoo_bridge.rest.resources.webhooks import WebhookResource
from kazoo_bridge.rest.resources.websockets import WebsocketResource


@frozen
class RestServices:
    """What the resources need of a node.

    `clock` is the reactor. `read_metrics` returns the node's metrics (None: they are served elsewhere),
    `readiness_problems` the reasons why the node is not ready, `degradations` what else does not work.
    `pivot_base_uri`: see `PivotResource`. `websocket_location` is where browsers find the websockets.
    `has_system_wide_channels`: super-admins may list the channels of all accounts. `is_embedded`: the bus is
    inside the process. `may_eavesdrop`: the console offers to listen to calls.
    """

    clock: Any
    directory: IDirectory
    accounts: IAccountManager
    webhooks: IWebhooks
    websockets: IWebsockets
    calls: ICalls
    pivots: IPivots
    pivot_base_uri: str
    nodes: INodes
    websocket_location: WebsocketLocation
    read_metrics: ReadMetrics | None
    readiness_problems: ReadinessProblems
    degradations: Degradations
    has_system_wide_channels: bool = True
    is_embedded: bool = False
    may_eavesdrop: bool = False


def build_resources(services: RestServices) -> list[Resource]:
    """Return all resources; each knows its paths."""
    clock, directory = services.clock, services.directory
    webhooks, websockets = services.webhooks, services.websockets
    return [
        AttemptResource(directory, webhooks),
        DeliveryResource(directory, webhooks),
        HookActionResource(directory, webhooks),
        WebhookResource(directory, webhooks),
        CatalogueResource(directory, lambda: webhooks.hook_types),
        AccountResource(directory),
        AccountChangeResource(directory, services.accounts),
        PeopleResource(directory),
        AppsResource(directory),
        TokenResource(directory, services.accounts),
        AuthResource(directory, LoginThrottle(clock)),
        LimitResource(directory, webhooks),
        WebsocketResource(directory, websockets),
        EventStreamResource(directory, websockets, clock),
        ChannelResource(directory, services.calls, services.has_system_wide_channels),
        PivotResource(directory, services.pivots, services.pivot_base_uri),
        PivotDoorResource(services.pivots),
        NewCallResource(directory, services.calls),
        NodeResource(directory, services.nodes),
        ConsoleResource(
            page_files(), services.websocket_location, services.is_embedded, services.may_eavesdrop
        ),
        DocumentationResource(documentation_files(), api_files()),
        *([] if services.read_metrics is None else [MetricResource(clock, services.read_metrics)]),
        HealthResource(clock, services.readiness_problems, services.degradations),
        OpenApiResource.from_schemas(
            lambda: webhooks.document_schema, webhooks.secret_schemas, services.pivots.pivot_schema
        ),
    ]
