"""vLLM's own request function on a wave of streams, in the form that every peer of bench:client has.

vllm_request_function.py PORT STREAMS TOKENS WARM_TOKENS FLOOD_SECONDS OUT
"""

import array
import asyncio
import json
import sys
import time

import aiohttp
from vllm.benchmarks.lib.endpoint_request_func import (
    RequestFuncInput,
    async_request_openai_completions,
)

PROMPT = " tok" * 512


async def wave(session, port, streams, name, tokens):
    """Every stream sends a request; gives the outputs when all have ended."""

    def request(index):
        return async_request_openai_completions(
            RequestFuncInput(
                prompt=PROMPT,
                api_url=f"http://127.0.0.1:{port}/v1/completions",
                prompt_len=512,
                output_len=tokens,
                model="paced",
                ignore_eos=True,
                request_id=f"{name}-{index}",
            ),
            session=session,
        )

    outputs = await asyncio.gather(*(request(index) for index in range(streams)))
    for output in outputs:
        if not output.success:
            raise SystemExit(f"a request failed: {output.error[-2000:]}")
    return outputs


async def main(port, streams, tokens, warm_tokens, flood_seconds, out):
    # As `vllm bench serve` makes its session.
    connector = aiohttp.TCPConnector(
        limit=streams,
        limit_per_host=streams,
        ttl_dns_cache=300,
        use_dns_cache=True,
        keepalive_timeout=60,
        enable_cleanup_closed=True,
        force_close=False,
    )
    timeout = aiohttp.ClientTimeout(total=6 * 60 * 60)
    async with aiohttp.ClientSession(
        connector=connector, trust_env=True, timeout=timeout
    ) as session:
        if warm_tokens > 0:
            await wave(session, port, streams, "warm", warm_tokens)
        cpu = time.process_time()
        start = time.monotonic()
        waves = 0
        events = 0
        while True:
            outputs = await wave(session, port, streams, f"w{waves}", tokens)
            events += sum(len(output.itl) + 1 for output in outputs)
            waves += 1
            if time.monotonic() - start >= flood_seconds:
                break
        cpu_ms = (time.process_time() - cpu) * 1000
        wall_ms = (time.monotonic() - start) * 1000

    requests = []
    times = array.array("d")
    for index, output in enumerate(outputs):
        # perf_counter, which it stamps with, is CLOCK_MONOTONIC on Linux.
        at = output.start_time + output.ttft
        times.append(at * 1000)
        for gap in output.itl:
            at += gap
            times.append(at * 1000)
        requests.append(
            {
                "id": f"w{waves - 1}-{index}",
                "startAtMs": output.start_time * 1000,
                "events": len(output.itl) + 1,
            }
        )
    head = {"cpuMs": cpu_ms, "wallMs": wall_ms, "events": events, "requests": requests}
    with open(out, "wb") as file:
        file.write(json.dumps(head).encode() + b"\n")
        times.tofile(file)


if __name__ == "__main__":
    _, port, streams, tokens, warm_tokens, flood_seconds, out = sys.argv
    asyncio.run(
        main(
            int(port),
            int(streams),
            int(tokens),
            int(warm_tokens),
            float(flood_seconds),
            out,
        )
    )
