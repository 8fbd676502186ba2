"""Runs a program at a terminal: waits until its screen has shown a text, presses a key, and tells how it ended.

usage: terminal.py TEXT KEY PROGRAM [ARGUMENT]...   (KEY is one character, or esc, or ctrl-c)
"""
import fcntl, json, os, pty, struct, sys, termios

wanted, key, *command = sys.argv[1:]
keys = {"esc": b"\x1b", "ctrl-c": b"\x03"}
child, terminal = pty.fork()
if child == 0:
    os.execvp(command[0], command)
fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 120, 0, 0))
before = termios.tcgetattr(terminal)
seen = b""
pressed = False
while True:
    try:
        piece = os.read(terminal, 65536)
    except OSError:  # the other end is closed
        break
    if not piece:
        break
    seen += piece
    if not pressed and wanted.encode() in seen:
        os.write(terminal, keys.get(key) or key.encode())
        pressed = True
_, status = os.waitpid(child, 0)
print(json.dumps({
    "exit": os.waitstatus_to_exitcode(status),
    "pressed": pressed,
    "entered": b"\x1b[?1049h" in seen,
    "left": seen.rfind(b"\x1b[?1049l") > seen.rfind(b"\x1b[?1049h"),
}))
