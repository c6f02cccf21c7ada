# Everything that passes one interface, as a stranger on the wire sees it: AF_PACKET, every byte of every frame. Captures
# until stdin ends, then puts each direction of each TCP connection into a file of its own, in the order of its sequence
# numbers, and all other frames into one.
#   capture.py INTERFACE FOLDER
import json, os, select, socket, struct, sys

ETH_P_ALL, ETH_P_IP = 3, 0x0800
SOL_PACKET, PACKET_STATISTICS, SO_RCVBUFFORCE = 263, 6, 33
BUFFER = 256 << 20
# Offloading hands over frames of up to 64 KiB and their headers.
FRAME = 1 << 17

interface, folder = sys.argv[1:]
wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
wire.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, BUFFER)
wire.bind((interface, 0))
print("ready", flush=True)

frames = []
ending = False
while True:
    readable, _, _ = select.select([wire] if ending else [wire, sys.stdin], [], [], 0.3 if ending else None)
    if wire in readable:
        frames.append(wire.recv(FRAME))
    elif ending:
        break
    if sys.stdin in readable:
        ending = True
_, dropped = struct.unpack("II", wire.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8))

flows, others = {}, []
for frame in frames:
    if struct.unpack(">H", frame[12:14])[0] != ETH_P_IP or frame[23] != socket.IPPROTO_TCP:
        others.append(frame)
        continue
    packet = frame[14:14 + struct.unpack(">H", frame[16:18])[0]]
    tcp = packet[(packet[0] & 15) * 4:]
    ports, seq = struct.unpack(">HH", tcp[:4]), struct.unpack(">I", tcp[4:8])[0]
    flow = flows.setdefault((socket.inet_ntoa(packet[12:16]), ports[0], socket.inet_ntoa(packet[16:20]), ports[1]), {})
    if tcp[13] & 2:
        flow["first"] = seq + 1
    data = tcp[(tcp[12] >> 4) * 4:]
    if data:
        flow[seq] = max(flow.get(seq, b""), data, key=len)

report = {"frames": len(frames), "dropped": dropped, "flows": []}
for number, ((source, source_port, target, target_port), flow) in enumerate(flows.items()):
    # Of a connection that was there before the capture, from the first byte seen.
    at = flow.pop("first", None)
    started = at is not None
    gaps, path = 0, os.path.join(folder, f"flow-{number}")
    with open(path, "wb") as out:
        for seq in sorted(flow):
            data = flow[seq]
            at = seq if at is None else at
            if seq > at:
                gaps, at = gaps + 1, seq
            if seq + len(data) > at:
                out.write(data[at - seq:])
                at = seq + len(data)
    report["flows"].append({"path": path, "started": started, "gaps": gaps, "source": source, "sourcePort": source_port,
                            "target": target, "targetPort": target_port})
report["others"] = os.path.join(folder, "others")
with open(report["others"], "wb") as out:
    out.write(b"".join(others))
print(json.dumps(report), flush=True)
