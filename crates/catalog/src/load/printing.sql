-- What decides how values print whose text depends on settings, in the order of `Printing::SETTINGS`.
select current_setting('TimeZone'), current_setting('extra_float_digits'), current_setting('bytea_output')
