//! Tests of the real binary while Flowroute, the disk, DynamoDB or the process itself fails.

mod broken_dynamodb;
mod broken_store;
mod crashes;
mod fixture;
mod full_disk;
mod load;
mod lost_responses;
mod maintenance;
mod openings;
mod outage;
mod stop;
mod two_instances;
