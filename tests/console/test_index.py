from __future__ import annotations

import re

from kazoo_bridge.console.files import PAGE
from kazoo_bridge.console.index import IndexPage, module_order

MODULES = {
    "app/main.js": b"""import { a } from "./a.js";
import "./views/b.js";
const late = () => import("./late.js");
""",
    "app/a.js": b'import {\n  c,\n} from "./c.js";\nexport { d } from "./d.js";\nconst text = "./text.js";\n',
    "app/views/b.js": b'import { a } from "../a.js";\nimport { main } from "../main.js";\n',
    "app/c.js": b"",
    "app/d.js": b'import { missing } from "./missing.js";\n',
    "app/late.js": b'import { c } from "./c.js";\nimport { e } from "./e.js";\n',
    "app/e.js": b"",
    "app/unused.js": b"",
}


def test_modules_are_in_the_order_in_which_they_are_needed() -> None:
    assert module_order(MODULES, "app/main.js") == [
        "app/main.js",
        "app/a.js",
        "app/views/b.js",
        "app/c.js",
        "app/d.js",
        "app/late.js",
        "app/e.js",
    ]


def test_all_modules_of_the_page_are_found() -> None:
    contents = {path.relative_to(PAGE).as_posix(): path.read_bytes() for path in PAGE.rglob("*.js")}
    order = module_order(contents, "app/main.js")
    # Not a module; and a language is loaded only by those who use it.
    others = {name for name in contents if not name.startswith("app/strings/")} - {"app/early-appearance.js"}
    assert others <= set(order)
    assert order.index("app/views/sign-in.js") < order.index("app/console.js")


def test_the_page_preloads_the_modules_before_its_head_ends() -> None:
    index = IndexPage.parse('<head>\n    <script src="app/main.js"></script>\n  </head>\n  <body></body>\n')
    html = index.render("r/1/", ["app/main.js", "app/a.js"])
    head, _ = html.split("</head>")
    assert re.findall(r'rel="modulepreload" href="([^"]+)"', head) == ["r/1/app/main.js", "r/1/app/a.js"]
    assert "all.css" not in html
