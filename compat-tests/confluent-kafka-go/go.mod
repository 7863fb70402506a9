module ottla.compat/confluent-kafka-go

go 1.26.0

require (
	github.com/confluentinc/confluent-kafka-go/v2 v2.11.1
	ottla.compat v0.0.0
)

replace ottla.compat => ../go
