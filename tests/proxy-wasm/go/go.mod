module tamis.test/proxywasm

go 1.24
