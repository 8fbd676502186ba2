;; WASI 0.1 for core modules, in terms of tamis:filter: the clocks, randomness, and standard output in the log. There are no
;; files, no sockets, no arguments and no environment. wit-component leaves out what a module does not import.
;;
;; It has the shape that wit-component wants of an adapter: the memory is the module's, and there are no data and no tables.
(module
  (import "tamis:filter/log@0.1.0" "write" (func $log (param i32 i32 i32)))
  (import "tamis:filter/clock@0.1.0" "now-ns" (func $now (result i64)))
  (import "tamis:filter/clock@0.1.0" "monotonic-ns" (func $monotonic (result i64)))
  (import "tamis:filter/clock@0.1.0" "sleep-ms" (func $sleep (param i32)))
  (import "tamis:filter/entropy@0.1.0" "next" (func $random (result i64)))
  (import "env" "memory" (memory 0))

  ;; The line that has no end yet: a page of its own, and how much of it is in use.
  (global $line (mut i32) (i32.const 0))
  (global $used (mut i32) (i32.const 0))

  ;; Errors: 8 is badf, 28 inval, 58 notsup, 70 spipe.

  (func (export "args_get") (param i32 i32) (result i32) i32.const 0)
  (func (export "args_sizes_get") (param $count i32) (param $bytes i32) (result i32)
    (i32.store (local.get $count) (i32.const 0))
    (i32.store (local.get $bytes) (i32.const 0))
    i32.const 0)
  (func (export "environ_get") (param i32 i32) (result i32) i32.const 0)
  (func (export "environ_sizes_get") (param $count i32) (param $bytes i32) (result i32)
    (i32.store (local.get $count) (i32.const 0))
    (i32.store (local.get $bytes) (i32.const 0))
    i32.const 0)

  ;; 0 is the time of day; the others never go back.
  (func $time (param $clock i32) (result i64)
    (if (result i64) (local.get $clock) (then (call $monotonic)) (else (call $now))))
  (func (export "clock_res_get") (param $clock i32) (param $out i32) (result i32)
    (i64.store (local.get $out) (i64.const 1))
    i32.const 0)
  (func (export "clock_time_get") (param $clock i32) (param $precision i64) (param $out i32) (result i32)
    (i64.store (local.get $out) (call $time (local.get $clock)))
    i32.const 0)

  (func (export "random_get") (param $out i32) (param $count i32) (result i32)
    (local $drawn i64)
    (loop $more
      (if (i32.ge_u (local.get $count) (i32.const 8)) (then
        (i64.store (local.get $out) (call $random))
        (local.set $out (i32.add (local.get $out) (i32.const 8)))
        (local.set $count (i32.sub (local.get $count) (i32.const 8)))
        (br $more))))
    (if (local.get $count) (then
      (local.set $drawn (call $random))
      (loop $byte
        (i64.store8 (local.get $out) (local.get $drawn))
        (local.set $drawn (i64.shr_u (local.get $drawn) (i64.const 8)))
        (local.set $out (i32.add (local.get $out) (i32.const 1)))
        (local.set $count (i32.sub (local.get $count) (i32.const 1)))
        (br_if $byte (local.get $count)))))
    i32.const 0)

  (func (export "sched_yield") (result i32) i32.const 0)
  (func (export "proc_exit") (param $code i32)
    (call $end_line (i32.const 3))
    unreachable)

  ;; Of the three standard ones: a device that takes characters, without rights.
  (func (export "fd_fdstat_get") (param $fd i32) (param $out i32) (result i32)
    (if (i32.gt_u (local.get $fd) (i32.const 2)) (then (return (i32.const 8))))
    (i64.store (local.get $out) (i64.const 2))
    (i64.store offset=8 (local.get $out) (i64.const 0))
    (i64.store offset=16 (local.get $out) (i64.const 0))
    i32.const 0)
  (func (export "fd_fdstat_set_flags") (param $fd i32) (param $flags i32) (result i32)
    (select (i32.const 8) (i32.const 0) (i32.gt_u (local.get $fd) (i32.const 2))))
  (func (export "fd_close") (param $fd i32) (result i32)
    (select (i32.const 8) (i32.const 0) (i32.gt_u (local.get $fd) (i32.const 2))))
  ;; Standard input is empty.
  (func (export "fd_read") (param $fd i32) (param $vectors i32) (param $count i32) (param $out i32) (result i32)
    (if (local.get $fd) (then (return (i32.const 8))))
    (i32.store (local.get $out) (i32.const 0))
    i32.const 0)

  ;; Standard output is of the severity info (2), standard error of the severity warn (3).
  (func (export "fd_write") (param $fd i32) (param $vectors i32) (param $count i32) (param $out i32) (result i32)
    (local $at i32) (local $end i32) (local $total i32) (local $byte i32)
    (if (i32.gt_u (i32.sub (local.get $fd) (i32.const 1)) (i32.const 1)) (then (return (i32.const 8))))
    (loop $vector
      (if (local.get $count) (then
        (local.set $at (i32.load (local.get $vectors)))
        (local.set $end (i32.add (local.get $at) (i32.load offset=4 (local.get $vectors))))
        (local.set $total (i32.add (local.get $total) (i32.load offset=4 (local.get $vectors))))
        (loop $more
          (if (i32.lt_u (local.get $at) (local.get $end)) (then
            (local.set $byte (i32.load8_u (local.get $at)))
            (if (i32.eq (local.get $byte) (i32.const 10))
              (then (call $end_line (i32.add (local.get $fd) (i32.const 1))))
              (else (call $append (local.get $byte) (i32.add (local.get $fd) (i32.const 1)))))
            (local.set $at (i32.add (local.get $at) (i32.const 1)))
            (br $more))))
        (local.set $vectors (i32.add (local.get $vectors) (i32.const 8)))
        (local.set $count (i32.sub (local.get $count) (i32.const 1)))
        (br $vector))))
    (i32.store (local.get $out) (local.get $total))
    i32.const 0)

  ;; A line of 8192 bytes, which is what the log takes, ends by itself. Without room for it, it is lost.
  (func $append (param $byte i32) (param $severity i32)
    (if (i32.eqz (global.get $line)) (then
      (global.set $line (memory.grow (i32.const 1)))
      (if (i32.eq (global.get $line) (i32.const -1)) (then
        (global.set $line (i32.const 0))
        (return)))
      (global.set $line (i32.shl (global.get $line) (i32.const 16)))))
    (i32.store8 (i32.add (global.get $line) (global.get $used)) (local.get $byte))
    (global.set $used (i32.add (global.get $used) (i32.const 1)))
    (if (i32.eq (global.get $used) (i32.const 8192)) (then (call $end_line (local.get $severity)))))

  (func $end_line (param $severity i32)
    (if (global.get $used) (then
      (call $make_text)
      (call $log (local.get $severity) (global.get $line) (global.get $used))
      (global.set $used (i32.const 0)))))

  ;; The log takes UTF-8 only: a byte that is none of it becomes a question mark.
  (func $make_text
    (local $at i32) (local $length i32)
    (loop $next
      (if (i32.lt_u (local.get $at) (global.get $used)) (then
        (local.set $length (call $character (i32.add (global.get $line) (local.get $at))
          (i32.sub (global.get $used) (local.get $at))))
        (if (i32.eqz (local.get $length)) (then
          (i32.store8 (i32.add (global.get $line) (local.get $at)) (i32.const 63))
          (local.set $length (i32.const 1))))
        (local.set $at (i32.add (local.get $at) (local.get $length)))
        (br $next)))))

  ;; How many bytes the character at `at` has; 0 if there is none.
  (func $character (param $at i32) (param $room i32) (result i32)
    (local $lead i32) (local $second i32) (local $length i32) (local $step i32)
    (local.set $lead (i32.load8_u (local.get $at)))
    (if (i32.lt_u (local.get $lead) (i32.const 0x80)) (then (return (i32.const 1))))
    (if (i32.or (i32.lt_u (local.get $lead) (i32.const 0xc2)) (i32.gt_u (local.get $lead) (i32.const 0xf4)))
      (then (return (i32.const 0))))
    (local.set $length (i32.add (i32.const 2) (i32.add
      (i32.ge_u (local.get $lead) (i32.const 0xe0)) (i32.ge_u (local.get $lead) (i32.const 0xf0)))))
    (if (i32.lt_u (local.get $room) (local.get $length)) (then (return (i32.const 0))))
    ;; Too long a form, half of a surrogate pair, past the last character.
    (local.set $second (i32.load8_u offset=1 (local.get $at)))
    (if (i32.and (i32.eq (local.get $lead) (i32.const 0xe0)) (i32.lt_u (local.get $second) (i32.const 0xa0)))
      (then (return (i32.const 0))))
    (if (i32.and (i32.eq (local.get $lead) (i32.const 0xed)) (i32.gt_u (local.get $second) (i32.const 0x9f)))
      (then (return (i32.const 0))))
    (if (i32.and (i32.eq (local.get $lead) (i32.const 0xf0)) (i32.lt_u (local.get $second) (i32.const 0x90)))
      (then (return (i32.const 0))))
    (if (i32.and (i32.eq (local.get $lead) (i32.const 0xf4)) (i32.gt_u (local.get $second) (i32.const 0x8f)))
      (then (return (i32.const 0))))
    (local.set $step (i32.const 1))
    (loop $more
      (if (i32.ne (i32.and (i32.load8_u (i32.add (local.get $at) (local.get $step))) (i32.const 0xc0)) (i32.const 0x80))
        (then (return (i32.const 0))))
      (local.set $step (i32.add (local.get $step) (i32.const 1)))
      (br_if $more (i32.lt_u (local.get $step) (local.get $length))))
    local.get $length)

  ;; Waits for the earliest clock. What else is asked for is ready at once. One event a call; a subscription has 48 bytes.
  (func (export "poll_oneoff") (param $in i32) (param $out i32) (param $count i32) (param $events i32) (result i32)
    (local $first i32) (local $wait i64) (local $left i64)
    (if (i32.eqz (local.get $count)) (then (return (i32.const 28))))
    (local.set $wait (i64.const -1))
    (block $found
      (loop $each
        (if (i32.load8_u offset=8 (local.get $in)) (then
          (local.set $first (local.get $in))
          (local.set $wait (i64.const 0))
          (br $found)))
        (local.set $left (i64.load offset=24 (local.get $in)))
        ;; An absolute time: what is left until then.
        (if (i32.and (i32.load16_u offset=40 (local.get $in)) (i32.const 1)) (then
          (local.set $left (i64.sub (local.get $left) (call $time (i32.load offset=16 (local.get $in)))))
          (if (i64.lt_s (local.get $left) (i64.const 0)) (then (local.set $left (i64.const 0))))))
        (if (i64.lt_u (local.get $left) (local.get $wait)) (then
          (local.set $first (local.get $in))
          (local.set $wait (local.get $left))))
        (local.set $in (i32.add (local.get $in) (i32.const 48)))
        (local.set $count (i32.sub (local.get $count) (i32.const 1)))
        (br_if $each (local.get $count))))
    (if (i64.ne (local.get $wait) (i64.const 0)) (then
      ;; Milliseconds, rounded up, and as many as there are in a u32 at most.
      (local.set $wait (i64.div_u (i64.add (local.get $wait) (i64.const 999999)) (i64.const 1000000)))
      (if (i64.gt_u (local.get $wait) (i64.const 0xffffffff)) (then (local.set $wait (i64.const 0xffffffff))))
      (call $sleep (i32.wrap_i64 (local.get $wait)))))
    (i64.store (local.get $out) (i64.load (local.get $first)))
    (i64.store offset=8 (local.get $out) (i64.const 0))
    (i32.store8 offset=10 (local.get $out) (i32.load8_u offset=8 (local.get $first)))
    (i64.store offset=16 (local.get $out) (i64.const 0))
    (i64.store offset=24 (local.get $out) (i64.const 0))
    (i32.store (local.get $events) (i32.const 1))
    i32.const 0)

  ;; What there is not.
  (func (export "fd_advise") (param i32 i64 i64 i32) (result i32) i32.const 8)
  (func (export "fd_allocate") (param i32 i64 i64) (result i32) i32.const 8)
  (func (export "fd_datasync") (param i32) (result i32) i32.const 8)
  (func (export "fd_fdstat_set_rights") (param i32 i64 i64) (result i32) i32.const 8)
  (func (export "fd_filestat_get") (param i32 i32) (result i32) i32.const 8)
  (func (export "fd_filestat_set_size") (param i32 i64) (result i32) i32.const 8)
  (func (export "fd_filestat_set_times") (param i32 i64 i64 i32) (result i32) i32.const 8)
  (func (export "fd_pread") (param i32 i32 i32 i64 i32) (result i32) i32.const 8)
  (func (export "fd_prestat_get") (param i32 i32) (result i32) i32.const 8)
  (func (export "fd_prestat_dir_name") (param i32 i32 i32) (result i32) i32.const 8)
  (func (export "fd_pwrite") (param i32 i32 i32 i64 i32) (result i32) i32.const 8)
  (func (export "fd_readdir") (param i32 i32 i32 i64 i32) (result i32) i32.const 8)
  (func (export "fd_renumber") (param i32 i32) (result i32) i32.const 8)
  (func (export "fd_seek") (param i32 i64 i32 i32) (result i32) i32.const 70)
  (func (export "fd_sync") (param i32) (result i32) i32.const 8)
  (func (export "fd_tell") (param i32 i32) (result i32) i32.const 70)
  (func (export "path_create_directory") (param i32 i32 i32) (result i32) i32.const 8)
  (func (export "path_filestat_get") (param i32 i32 i32 i32 i32) (result i32) i32.const 8)
  (func (export "path_filestat_set_times") (param i32 i32 i32 i32 i64 i64 i32) (result i32) i32.const 8)
  (func (export "path_link") (param i32 i32 i32 i32 i32 i32 i32) (result i32) i32.const 8)
  (func (export "path_open") (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32) i32.const 8)
  (func (export "path_readlink") (param i32 i32 i32 i32 i32 i32) (result i32) i32.const 8)
  (func (export "path_remove_directory") (param i32 i32 i32) (result i32) i32.const 8)
  (func (export "path_rename") (param i32 i32 i32 i32 i32 i32) (result i32) i32.const 8)
  (func (export "path_symlink") (param i32 i32 i32 i32 i32) (result i32) i32.const 8)
  (func (export "path_unlink_file") (param i32 i32 i32) (result i32) i32.const 8)
  (func (export "proc_raise") (param i32) (result i32) i32.const 58)
  (func (export "sock_accept") (param i32 i32 i32) (result i32) i32.const 58)
  (func (export "sock_recv") (param i32 i32 i32 i32 i32 i32) (result i32) i32.const 58)
  (func (export "sock_send") (param i32 i32 i32 i32 i32) (result i32) i32.const 58)
  (func (export "sock_shutdown") (param i32 i32) (result i32) i32.const 58))
