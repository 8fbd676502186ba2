module tamis-sdk

go 1.24
