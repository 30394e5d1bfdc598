from twisted.application.service import ServiceMaker

kazoo_bridge = ServiceMaker(
    "kazoo_bridge", "kazoo_bridge.node.tap", "KAZOO's events to webhooks and websockets", "kazoo_bridge"
)
