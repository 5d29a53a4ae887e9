# Tables beside PostgreSQL, which stays the truth: the mirror of the audit log, and (where chosen) the tables of Feast's
# online store.

locals {
  tables = merge(
    {
      # one partition per tenant, in the order of the log; the worker writes it, auditors also ask it by resource
      audit-log = {
        hash_key   = "tenant"
        range_key  = "sequence"
        attributes = { tenant = "S", sequence = "N", resource = "S" }
        indexes    = { by-resource = { hash_key = "resource", range_key = "sequence" } }
        ttl        = ""
      }
    },
    # Feast's own layout: one table per feature view, named by its table_name_template. Made here, they are encrypted with
    # our key; `feast apply` finds them and leaves them alone.
    { for view in var.online_store_views : "online.${view}" => {
      hash_key   = "entity_id"
      range_key  = ""
      attributes = { entity_id = "S" }
      indexes    = {}
      ttl        = ""
    } },
  )
}

resource "aws_dynamodb_table" "this" {
  for_each = local.tables

  name                        = "${var.name}-${each.key}"
  billing_mode                = "PAY_PER_REQUEST"
  hash_key                    = each.value.hash_key
  range_key                   = each.value.range_key == "" ? null : each.value.range_key
  deletion_protection_enabled = var.deletion_protection
  tags                        = merge(var.tags, { Name = "${var.name}-${each.key}" })

  dynamic "attribute" {
    for_each = each.value.attributes
    content {
      name = attribute.key
      type = attribute.value
    }
  }

  dynamic "global_secondary_index" {
    for_each = each.value.indexes
    content {
      name            = global_secondary_index.key
      hash_key        = global_secondary_index.value.hash_key
      range_key       = global_secondary_index.value.range_key
      projection_type = "ALL"
    }
  }

  dynamic "ttl" {
    for_each = each.value.ttl == "" ? [] : [each.value.ttl]
    content {
      attribute_name = ttl.value
      enabled        = true
    }
  }

  point_in_time_recovery {
    enabled = true
  }

  server_side_encryption {
    enabled     = true
    kms_key_arn = var.kms_key_arn
  }
}
