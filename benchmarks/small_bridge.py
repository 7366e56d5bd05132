"""The obvious bridge, in ten lines: ask the upstream, reshape, answer.

It trusts the front end's own buckets (which hang from the end of the range) and knows no
labels, limits, credentials or errors. It is what the bridge's speed is compared with. Its
last answer is given again at ``/again``, which is as fast as such a server can be.
"""

import os

import httpx
import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

upstream = httpx.AsyncClient(timeout=30)


async def query(request: Request) -> Response:
    asked = orjson.loads(await request.body())
    reply = await upstream.post(
        os.environ["UPSTREAM"] + "/api/query",
        headers={"Authorization": os.environ["AUTHORIZATION"]},
        content=orjson.dumps(asked["upstream"]),
    )
    request.app.state.answer = orjson.dumps(
        [
            {
                "target": s["tags"]["vm"],
                "datapoints": [[v, int(t) * 1000] for t, v in s["dps"].items()],
            }
            for s in orjson.loads(reply.content)
        ]
    )
    return Response(request.app.state.answer, media_type="application/json")


async def again(request: Request) -> Response:
    await request.body()
    return Response(request.app.state.answer, media_type="application/json")


async def root(_: Request) -> Response:
    return Response(b"ok")


app = Starlette(
    routes=[
        Route("/", root),
        Route("/query", query, methods=["POST"]),
        Route("/again", again, methods=["POST"]),
    ]
)
