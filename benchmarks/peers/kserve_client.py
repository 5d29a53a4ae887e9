"""Asks a server with KServe's own client, in an environment that has it: questions as JSON in, answers as JSON out."""

import asyncio
import json
import sys
from typing import Any

import httpx
from kserve import InferInput, InferRequest
from kserve.inference_client import InferenceRESTClient, RESTConfig

Question = dict[str, Any]


async def _v1(client: InferenceRESTClient, question: Question, url: str, headers: dict[str, str]) -> Any:
    found = await client.infer(
        url,
        {"instances": question["rows"]},
        model_name=question["model"],
        headers=headers,
    )
    return {"predictions": found["predictions"], "labels": found.get("labels")}


async def _v2(client: InferenceRESTClient, question: Question, url: str, headers: dict[str, str]) -> Any:
    columns = zip(question["datatypes"].items(), zip(*question["rows"], strict=True), strict=True)
    inputs = [InferInput(name, [len(values)], datatype, list(values)) for (name, datatype), values in columns]
    request = InferRequest(model_name=question["model"], infer_inputs=inputs, request_id="mine")
    found = await client.infer(url, request, model_name=question["model"], headers=headers)
    outputs = {output.name: output.as_numpy().tolist() for output in found.outputs}
    return {
        "predictions": outputs["prediction"],
        "labels": outputs.get("label"),
        "id": found.id,
    }


async def _asked(task: dict[str, Any]) -> list[Any]:
    clients = {name: InferenceRESTClient(RESTConfig(protocol=name, retries=0)) for name in ("v1", "v2")}
    url, headers = task["url"], task["headers"]
    answers: list[Any] = [
        {
            "live": await clients["v2"].is_server_live(url, headers),
            "ready": await clients["v2"].is_server_ready(url, headers),
        }
    ]
    for question in task["questions"]:
        for name, ask in (("v1", _v1), ("v2", _v2)):
            answer: dict[str, Any] = {"ready": await clients[name].is_model_ready(url, question["model"], headers)}
            try:
                answer |= await ask(clients[name], question, url, dict(headers))
            except httpx.HTTPStatusError as error:
                answer |= {"status": error.response.status_code, "sentence": str(error)}
            answers.append(answer)
    return answers


json.dump(asyncio.run(_asked(json.load(sys.stdin))), sys.stdout)
