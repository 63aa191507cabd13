//! The scripting example, over real sockets: no script sees anything of another.

#[path = "../examples/rhai_service.rs"]
#[allow(dead_code, unreachable_pub, reason = "an example is a program of its own")]
mod rhai_service;

#[test]
fn no_script_sees_anything_of_another() {
    rhai_service::self_test();
}
