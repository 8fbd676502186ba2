module {name}

go 1.24

// The SDK came with the `tamis` that wrote this project.
require tamis-sdk v0.0.0

replace tamis-sdk => ./{sdk}
