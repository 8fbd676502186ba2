//! Takes parameters that only track people off the query before the service sees it: utm_source and its kin, fbclid, gclid.

const std = @import("std");

/// Bytes as they cross the border. In an area of results they are preceded by a number that says whether they are there.
const Text = extern struct { ptr: [*]const u8, len: usize };
const Optional = extern struct { there: u32, text: Text };

extern "tamis:filter/request@0.1.0" fn path(result: *Text) void;
extern "tamis:filter/request@0.1.0" fn query(result: *Optional) void;
extern "tamis:filter/request@0.1.0" fn @"set-target"(ptr: [*]const u8, len: usize, result: *Optional) void;
extern "tamis:filter/log@0.1.0" fn write(severity: i32, ptr: [*]const u8, len: usize) void;

// Where the proxy puts what it hands over, and how all of that is given back.
extern "tamis" fn realloc(old: usize, old_size: usize, alignment: usize, size: usize) usize;
extern "tamis" fn release() void;

const next: i32 = 0;
const warn: i32 = 3;
/// What a target may have at most.
const target_bytes_max = 8192;

export fn @"tamis:filter/configure@0.1.0#configure"(_: usize, _: usize, _: usize, _: usize) *const Optional {
    // What is imported must be in use, or the linker leaves it out.
    _ = realloc(0, 0, 1, 0);
    release();
    const fine = struct {
        const result = Optional{ .there = 0, .text = .{ .ptr = "", .len = 0 } };
    };
    return &fine.result;
}

export fn @"tamis:filter/request-hook@0.1.0#on-request"() i32 {
    defer release();
    var given: Optional = undefined;
    query(&given);
    if (given.there == 0) return next;
    var before: Text = undefined;
    path(&before);

    var room: [target_bytes_max]u8 = undefined;
    const kept = without(&room, before.ptr[0..before.len], given.text.ptr[0..given.text.len]) orelse return next;
    var refused: Optional = undefined;
    @"set-target"(kept.ptr, kept.len, &refused);
    if (refused.there == 1) write(warn, refused.text.ptr, refused.text.len);
    return next;
}

/// The target without the parameters; null if nothing changes, or it is too long.
fn without(room: []u8, before: []const u8, given: []const u8) ?[]const u8 {
    var len: usize = 0;
    var taken = false;
    var joint: []const u8 = "?";
    if (!append(room, &len, before)) return null;
    var parameters = std.mem.splitScalar(u8, given, '&');
    while (parameters.next()) |parameter| {
        if (tracks(parameter)) {
            taken = true;
            continue;
        }
        if (!append(room, &len, joint) or !append(room, &len, parameter)) return null;
        joint = "&";
    }
    return if (taken) room[0..len] else null;
}

fn append(room: []u8, len: *usize, text: []const u8) bool {
    if (room.len - len.* < text.len) return false;
    @memcpy(room[len.*..][0..text.len], text);
    len.* += text.len;
    return true;
}

fn tracks(parameter: []const u8) bool {
    const name = parameter[0 .. std.mem.indexOfScalar(u8, parameter, '=') orelse parameter.len];
    if (std.mem.startsWith(u8, name, "utm_")) return true;
    return std.mem.eql(u8, name, "fbclid") or std.mem.eql(u8, name, "gclid");
}
