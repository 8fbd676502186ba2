;; Room for what the host hands over, for guests whose runtime cannot be asked for it: while the host lowers arguments and
;; results, a component must not call out, and the garbage collector of Go looks at the clock whenever it likes. The guest
;; copies what it was given and releases all of it at once.
(module
  (import "env" "memory" (memory 0))
  ;; What is there, from `base` to `end`, is in use up to `next`.
  (global $base (mut i32) (i32.const 0))
  (global $next (mut i32) (i32.const 0))
  (global $end (mut i32) (i32.const 0))

  (func (export "release") (global.set $next (global.get $base)))

  (func $aligned (param $align i32) (result i32)
    (i32.and (i32.sub (i32.add (global.get $next) (local.get $align)) (i32.const 1)) (i32.sub (i32.const 0) (local.get $align))))

  ;; At least doubles what there is. Where the memory has grown for others meanwhile, what was there before is given up, which
  ;; is less than what there is now.
  (func $grow (param $bytes i32)
    (local $pages i32) (local $at i32)
    (if (i32.lt_u (local.get $bytes) (i32.sub (global.get $end) (global.get $base)))
      (then (local.set $bytes (i32.sub (global.get $end) (global.get $base)))))
    (local.set $pages (i32.add (i32.shr_u (local.get $bytes) (i32.const 16)) (i32.const 1)))
    (local.set $at (memory.grow (local.get $pages)))
    (if (i32.eq (local.get $at) (i32.const -1)) (then unreachable))
    (local.set $at (i32.shl (local.get $at) (i32.const 16)))
    (if (i32.ne (local.get $at) (global.get $end)) (then
      (global.set $base (local.get $at))
      (global.set $next (local.get $at))))
    (global.set $end (i32.add (local.get $at) (i32.shl (local.get $pages) (i32.const 16)))))

  (func (export "realloc") (param $old i32) (param $old_size i32) (param $align i32) (param $size i32) (result i32)
    (local $at i32)
    (if (i32.eqz (local.get $size)) (then (return (local.get $align))))
    (local.set $at (call $aligned (local.get $align)))
    (if (i64.gt_u (i64.add (i64.extend_i32_u (local.get $at)) (i64.extend_i32_u (local.get $size)))
        (i64.extend_i32_u (global.get $end))) (then
      (call $grow (i32.add (local.get $size) (local.get $align)))
      (local.set $at (call $aligned (local.get $align)))))
    (global.set $next (i32.add (local.get $at) (local.get $size)))
    (if (local.get $old_size) (then
      (memory.copy (local.get $at) (local.get $old)
        (select (local.get $old_size) (local.get $size) (i32.lt_u (local.get $old_size) (local.get $size))))))
    local.get $at))
