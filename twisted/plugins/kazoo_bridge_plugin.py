from twisted.application.service import ServiceMaker

kazoo_bridge = ServiceMaker("kazoo_bridge", "kazoo_bridge.service", "KAZOO's events to webhooks and websockets", "kazoo_bridge")
