"""The embedded broker and database start, stop, restart, and leave nothing behind, whatever goes wrong."""

import asyncio
import signal
import socket
import subprocess
import sys
from pathlib import Path

import asyncpg
import psutil
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from laptop.kafka import Kafka
from laptop.ports import HOST, free_port
from laptop.postgres import Postgres
from laptop.process import Process, Running, StartError, until
from laptop.topics import create_topics


def processes_that_mention(folder: Path) -> list[list[str]]:
    """Their command lines."""
    found = []
    for process in psutil.process_iter():
        try:
            command = process.cmdline()
        except psutil.Error:
            continue
        if str(folder) in " ".join(command):
            found.append(command)
    return found


async def query(url: str, statement: str) -> object:
    connection = await asyncpg.connect(url, timeout=5)
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


async def test_postgres_keeps_committed_rows_over_a_kill_and_listens_on_the_same_port_again(server_folder: Path):
    server = Postgres(server_folder)
    await server.start()
    try:
        await query(server.admin_url, "create table kept (x int)")
        await query(server.admin_url, "insert into kept values (7)")
        port = server.port
        await server.kill()
        assert processes_that_mention(server_folder) == []
        await server.start()
        assert server.port == port
        assert await query(server.admin_url, "select x from kept") == 7
    finally:
        await server.stop()
    assert processes_that_mention(server_folder) == []


async def test_a_frozen_postgres_answers_nobody_until_it_is_thawed(server_folder: Path):
    server = Postgres(server_folder, settings={"max_connections": "20"})
    await server.start()
    try:
        assert await query(server.admin_url, "show max_connections") == "20"
        connection = await asyncpg.connect(server.admin_url)
        server.freeze()
        waiting = asyncio.create_task(connection.fetchval("select 1"))
        await asyncio.sleep(0.3)
        assert not waiting.done()
        server.thaw()
        assert await waiting == 1
        await connection.close()
        server.freeze()
    finally:
        await server.stop()
    assert processes_that_mention(server_folder) == []


async def test_kafka_keeps_records_over_a_kill_and_listens_on_the_same_port_again(server_folder: Path):
    broker = Kafka(server_folder)
    await broker.start()
    try:
        await create_topics(broker.bootstrap)
        async with AIOKafkaProducer(bootstrap_servers=broker.bootstrap, enable_idempotence=True) as producer:
            await producer.send_and_wait("CompanyRegistered", b"kept", key=b"key")
        await broker.kill()
        assert processes_that_mention(server_folder) == []
        await broker.start()
        consumer = AIOKafkaConsumer(
            "CompanyRegistered", bootstrap_servers=broker.bootstrap, auto_offset_reset="earliest"
        )
        async with consumer:
            assert (await asyncio.wait_for(consumer.getone(), 30)).value == b"kept"
    finally:
        await broker.stop()
    assert processes_that_mention(server_folder) == []


async def test_kafka_on_an_occupied_port_says_so_and_leaves_nothing(server_folder: Path):
    with socket.socket() as occupant:
        occupant.bind((HOST, free_port()))
        occupant.listen()
        with pytest.raises(StartError, match="Address already in use"):
            await Kafka(server_folder, port=occupant.getsockname()[1]).start()
    assert processes_that_mention(server_folder) == []


async def test_kafka_with_a_broken_java_option_says_so_and_leaves_nothing(server_folder: Path):
    with pytest.raises(StartError, match="Unrecognized option: -Xnonsense"):
        await Kafka(server_folder, java_options=("-Xnonsense",)).start()
    assert processes_that_mention(server_folder) == []


async def test_postgres_on_an_occupied_port_says_so_and_leaves_nothing(server_folder: Path):
    with socket.socket() as occupant:
        occupant.bind((HOST, free_port()))
        occupant.listen()
        with pytest.raises(StartError, match="could not bind IPv4 address"):
            await Postgres(server_folder, port=occupant.getsockname()[1]).start()
    assert processes_that_mention(server_folder) == []


async def test_postgres_with_an_unknown_setting_says_so_and_leaves_nothing(server_folder: Path):
    with pytest.raises(StartError, match="nonsense"):
        await Postgres(server_folder, settings={"nonsense": "1"}).start()
    assert processes_that_mention(server_folder) == []


async def test_a_start_that_is_cancelled_leaves_nothing(server_folder: Path):
    starting = asyncio.create_task(Kafka(server_folder).start())
    assert await until(lambda: any("kafka.Kafka" in command for command in processes_that_mention(server_folder)), 30)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert processes_that_mention(server_folder) == []


async def test_what_was_started_ends_with_a_starter_that_is_killed(tmp_path: Path):
    program = f"""
import sys, time
from pathlib import Path
from laptop.process import Process
sleeper = Process("sleeper", ["sleep", "1000"], log=Path({str(tmp_path)!r}) / "log", environment={{}})
sleeper.spawn()
print(sleeper.pid, flush=True)
time.sleep(1000)
"""
    starter = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
    assert starter.stdout is not None
    with starter.stdout:
        pid = int(starter.stdout.readline())
    sleeper = Running("sleeper", pid, psutil.Process(pid).create_time())
    assert sleeper.find() is not None
    starter.send_signal(signal.SIGKILL)
    starter.wait()
    assert await until(lambda: sleeper.find() is None, 10)


async def test_a_process_that_ignores_being_asked_is_killed_in_the_end(tmp_path: Path):
    stubborn = Process(
        "stubborn",
        ["/bin/sh", "-c", "trap '' TERM; echo ready; while true; do sleep 0.1; done"],
        log=tmp_path / "log",
        environment={"PATH": "/bin:/usr/bin"},
    )
    stubborn.spawn()
    assert await until(lambda: "ready" in stubborn.log_end(), 10)
    assert await stubborn.stop(within=0.3) == -signal.SIGKILL
    assert not stubborn.alive


def test_a_number_that_passed_to_another_process_is_not_ours():
    itself = psutil.Process()
    assert Running("itself", itself.pid, itself.create_time()).find() is not None
    assert Running("former", itself.pid, itself.create_time() - 1000).find() is None
